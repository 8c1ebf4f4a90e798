// Measures how long a command takes as a whole process, against an empty Node.js process.
import { spawnSync } from "node:child_process"
import process from "node:process"
import { program } from "./kit/built.mjs"
import { cleanEnvironment, withCleanup } from "./kit/children.mjs"
import { Home } from "./kit/home.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median, spread } from "./kit/statistics.mjs"

const runs = 21
const warmUps = 2

/** @type {readonly { label: string, goal: string, args: readonly string[] }[]} */
const commands = [
  { label: "node -e 0", goal: "–", args: ["-e", "0"] },
  { label: "agentchat --version", goal: "1.5", args: [program, "--version"] },
  { label: "agentchat inbox --last 1", goal: "2.0", args: [program, "inbox", "--last", "1"] },
  { label: "agentchat send, by a daemon", goal: "2.5", args: [program, "send", "#general", "hello"] },
]

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  return withCleanup(async (defer) => {
    const { url } = await startRelay(defer)
    const home = new Home(defer)
    await home.startDaemon("default", url)
    const other = new Home(defer)
    await other.startDaemon("default", url)
    other.run(["send", "#general", "so that there is something in the inbox"])
    /** @type {number[][]} */
    const times = commands.map(() => [])
    for (let turn = -warmUps; turn < runs; turn++) {
      for (const [index, { args }] of commands.entries()) {
        const ms = time(args, home.directory)
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
    }
  })
}

/** @param {readonly string[]} args @param {string} cwd */
function time(args, cwd) {
  const startMs = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env: cleanEnvironment,
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`)
  return performance.now() - startMs
}
