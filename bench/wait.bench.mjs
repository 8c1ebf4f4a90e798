// Measures how long after a line is in the inbox `agentchat wait` prints it.
import { spawn } from "node:child_process"
import { appendFileSync, existsSync } from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { program } from "./kit/built.mjs"
import { cleanEnvironment, withCleanup } from "./kit/children.mjs"
import { sleep, waitUntil } from "./kit/clock.mjs"
import { Home } from "./kit/home.mjs"
import { LineFollower } from "./kit/line-follower.mjs"
import { startRelay } from "./kit/relay.mjs"
import { quantile } from "./kit/statistics.mjs"

const samples = 30
/** Time for a wait that has claimed its reader to begin to watch. */
const settleMs = 300
const patienceMs = 20_000

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  return withCleanup(async (defer) => {
    const { url } = await startRelay(defer)
    const { outbox } = await new Home(defer).startDaemon("default", url)
    const home = new Home(defer)
    const { inbox } = await home.startDaemon("default", url)
    const follower = new LineFollower(inbox, defer)
    /** @type {number[]} */
    const inInbox = []
    /** @type {number[]} */
    const printed = []
    for (let sample = 0; sample < samples; sample++) {
      const text = `sample-${sample}-`
      const output = await startWait(home.directory, join(dirname(inbox), "waits", "wait-me.json"), defer)
      const startMs = performance.now()
      const found = follower.find(text, patienceMs).then(() => performance.now() - startMs)
      appendFileSync(outbox, `${JSON.stringify({ to: "#general", content: text })}\n`)
      printed.push((await output()) - startMs)
      inInbox.push(await found)
    }
    const row = (/** @type {string} */ label, /** @type {number[]} */ values) => [
      label,
      ...[0.5, 0.99].map((q) => quantile(values, q).toFixed(2)),
    ]
    const later = printed.map((ms, i) => ms - (inInbox[i] ?? 0))
    return {
      goal: "wait prints a line within 50 ms after it is in the inbox",
      tables: [
        {
          caption: `Milliseconds from append to the outbox of another daemon, ${samples} waits`,
          columns: ["", "p50", "p99"],
          rows: [row("in the inbox", inInbox), row("printed by wait", printed), row("difference", later)],
        },
      ],
    }
  })
}

/**
 * Starts a wait, and returns when it is ready a function that resolves to the time of its output.
 * @param {string} cwd
 * @param {string} record
 * @param {import("./kit/children.mjs").Defer} defer
 */
async function startWait(cwd, record, defer) {
  await waitUntil("the last wait to end", () => !existsSync(record))
  const child = spawn(process.execPath, [program, "wait"], {
    cwd,
    env: cleanEnvironment,
    stdio: ["ignore", "pipe", "inherit"],
  })
  defer(() => void child.kill("SIGKILL"))
  const output = new Promise((resolve) => child.stdout.once("data", () => resolve(performance.now())))
  await waitUntil("the wait", () => existsSync(record))
  await sleep(settleMs)
  return () => /** @type {Promise<number>} */ (output)
}
