// Measures how long a command takes as a whole process, against an empty Node.js process.
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { program } from "./kit/built.mjs"
import { cleanEnvironment, withCleanup } from "./kit/children.mjs"
import { Home } from "./kit/home.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median, spread } from "./kit/statistics.mjs"

const runs = 21
const warmUps = 2

/** @typedef {{ label: string, goal: string, args: readonly string[], input?: (turn: number) => string, isUnread?: boolean }} Command */

/** @param {number} turn */
const prompt = (turn) => JSON.stringify({ session_id: "bench", prompt: "go on", prompt_id: String(turn) })

/** @type {readonly Command[]} */
const commands = [
  { label: "node -e 0", goal: "–", args: ["-e", "0"] },
  { label: "agentchat --version", goal: "1.5", args: [program, "--version"] },
  { label: "agentchat inbox --last 1", goal: "2.0", args: [program, "inbox", "--last", "1"] },
  { label: "agentchat send, by a daemon", goal: "2.5", args: [program, "send", "#general", "hello"] },
  {
    ...{ label: "agentchat hook, nothing unread", goal: "inbox + 20 ms" },
    ...{ args: [program, "hook", "UserPromptSubmit", "--harness", "claude"], input: prompt },
  },
  {
    ...{ label: "agentchat hook, 10 unread", goal: "inbox + 20 ms" },
    ...{ args: [program, "hook", "UserPromptSubmit", "--harness", "claude"], input: prompt, isUnread: true },
  },
]

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  return withCleanup(async (defer) => {
    const { url } = await startRelay(defer)
    const home = new Home(defer)
    await home.startDaemon("default", url)
    const other = new Home(defer)
    await other.startDaemon("default", url)
    for (let i = 0; i < 10; i++)
      other.run(["send", "#general", `so that there is something in the inbox ${i}`])
    /** @type {number[][]} */
    const times = commands.map(() => [])
    for (let turn = -warmUps; turn < runs; turn++) {
      for (const [index, { args, input, isUnread = false }] of commands.entries()) {
        if (isUnread) forget(home.directory)
        const ms = time(args, home.directory, input?.(commands.length * turn + index))
        if (turn >= 0) times[index]?.push(ms)
      }
    }
    const base = median(times[0] ?? [])
    return {
      goal: "see the last column",
      tables: [
        {
          caption: `Milliseconds of a whole process; median of ${runs} (least–most), in turn`,
          columns: ["", "ms", "ratio", "goal"],
          rows: commands.map(({ label, goal }, index) => {
            const found = times[index] ?? []
            return [label, spread(found, 0), (median(found) / base).toFixed(2), goal]
          }),
        },
      ],
      notes: ["on a busy machine the ratios count: 20 ms are 0.18 of an empty process on an idle one"],
    }
  })
}

/** Makes the newest messages unread for the next hook. @param {string} directory */
function forget(directory) {
  const home = join(directory, ".agentchat")
  rmSync(join(home, "daemons", "default", "cursors"), { recursive: true, force: true })
  for (const name of readdirSync(join(home, "sessions")).filter((file) => file.endsWith(".json"))) {
    const path = join(home, "sessions", name)
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), announced: 0 }))
  }
}

/** @param {readonly string[]} args @param {string} cwd @param {string} [input] */
function time(args, cwd, input) {
  const startMs = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd,
    ...(input !== undefined && { input }),
    env: { ...cleanEnvironment, AGENTCHAT_NAME: "default" },
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`)
  return performance.now() - startMs
}
