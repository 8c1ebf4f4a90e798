// Measures the time from a line appended to the outbox of one daemon to its line in the inbox of another.
import { appendFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startHelper, withCleanup } from "./kit/children.mjs"
import { sleep } from "./kit/clock.mjs"
import { Home } from "./kit/home.mjs"
import { LineFollower } from "./kit/line-follower.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median, quantile, spread } from "./kit/statistics.mjs"

/** @typedef {import("./kit/children.mjs").Defer} Defer */
/** @typedef {{ label: string, from: string, to: LineFollower, line: (text: string) => string }} Route */

const samples = 400
const pauseMs = 5
const burstLines = 10_000
const rounds = 5
const patienceMs = 20_000

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  return withCleanup(async (defer) => {
    const bare = await openBarePipe(defer)
    const unsigned = await openDaemons(defer, "agentchat, without a key", ["--ephemeral"])
    const ours = await openDaemons(defer, "agentchat, signed", [])
    const routes = [bare, unsigned, ours]
    const alone = await compareLatency(routes)
    const bursts = []
    for (const route of routes) bursts.push(await measureBursts(route))
    const [bareMs = [], unsignedMs = [], oursMs = []] = alone
    /** @type {(a: number[], b: number[], q: number) => string} */
    const ratio = (a, b, q) => (quantile(a, q) / quantile(b, q)).toFixed(2)
    return {
      goal: `p50 within 2.0 times the bare pipeline, and signed within 1.5 times unsigned; ${burstLines} lines once, in order, at 20,000 lines/s or more`,
      tables: [
        {
          caption: `Milliseconds from append to line, one line at a time, ${samples} of each in turn`,
          columns: ["", "p50", "p99"],
          rows: [
            ...routes.map(({ label }, i) => [
              label,
              ...[0.5, 0.99].map((q) => quantile(alone[i] ?? [], q).toFixed(2)),
            ]),
            ["without a key / bare", ...[0.5, 0.99].map((q) => ratio(unsignedMs, bareMs, q))],
            ["signed / bare", ...[0.5, 0.99].map((q) => ratio(oursMs, bareMs, q))],
            ["signed / without a key", ...[0.5, 0.99].map((q) => ratio(oursMs, unsignedMs, q))],
          ],
        },
        {
          caption: `${burstLines} lines appended one by one, limits lifted; median of ${rounds} (least–most)`,
          columns: ["", "seconds", "lines/s", "lost", "doubled", "in order"],
          rows: bursts,
        },
      ],
      notes: ["each append opens, writes and closes, as a shell's >> does; the seconds include it"],
    }
  })
}

/** @param {Defer} defer @returns {Promise<Route>} */
async function openBarePipe(defer) {
  const { directory } = new Home(defer)
  const [from, to] = [join(directory, "from"), join(directory, "to")]
  for (const path of [from, to]) writeFileSync(path, "")
  const module = new URL("bare/pipe.mjs", import.meta.url)
  /** @type {import("./kit/children.mjs").Helper<import("./bare/pipe.mjs").PipeApi>} */
  const receiver = startHelper(module, defer)
  /** @type {import("./kit/children.mjs").Helper<import("./bare/pipe.mjs").PipeApi>} */
  const sender = startHelper(module, defer)
  await sender.ask("send", { path: from, port: await receiver.ask("receive", { path: to }) })
  return { label: "bare pipeline", from, to: new LineFollower(to, defer), line: (text) => text }
}

/**
 * @param {Defer} defer
 * @param {string} label
 * @param {readonly string[]} args - of the sender's daemon
 * @returns {Promise<Route>}
 */
async function openDaemons(defer, label, args) {
  const { url } = await startRelay(defer)
  const { outbox } = await new Home(defer).startDaemon("default", url, args)
  const { inbox } = await new Home(defer).startDaemon("default", url)
  return {
    label,
    from: outbox,
    to: new LineFollower(inbox, defer),
    line: (content) => JSON.stringify({ to: "#general", content }),
  }
}

/** @param {readonly Route[]} routes @returns {Promise<number[][]>} milliseconds by route */
async function compareLatency(routes) {
  /** @type {number[][]} */
  const latencies = routes.map(() => [])
  for (let sample = 0; sample < samples; sample++) {
    for (const [index, { from, to, line }] of routes.entries()) {
      const text = `alone-${sample}-`
      const found = to.find(text, patienceMs)
      const startMs = performance.now()
      appendFileSync(from, `${line(text)}\n`)
      await found
      latencies[index]?.push(performance.now() - startMs)
      await sleep(pauseMs * (1 + Math.random()))
    }
  }
  return latencies
}

/** @param {Route} route @returns one row */
async function measureBursts(route) {
  const seconds = []
  const faults = { lost: 0, doubled: 0, unordered: 0 }
  for (let round = 0; round < rounds; round++) {
    const found = await measureBurst(route, `burst-${round}-`)
    seconds.push(found.seconds)
    faults.lost += burstLines - new Set(found.serials).size
    faults.doubled += found.serials.length - new Set(found.serials).size
    if (found.serials.some((serial, i) => serial < (found.serials[i - 1] ?? 0))) faults.unordered++
  }
  const perSecond = Math.round(burstLines / median(seconds))
  return [
    route.label,
    spread(seconds, 2),
    perSecond,
    faults.lost,
    faults.doubled,
    faults.unordered === 0 ? "yes" : "NO",
  ]
}

/** @param {Route} route @param {string} mark */
async function measureBurst({ from, to, line }, mark) {
  /** @type {number[]} */
  const serials = []
  const pattern = new RegExp(`${mark}(\\d+)-`)
  let lastMs = 0
  to.onLine = (text) => {
    const serial = pattern.exec(text)?.[1]
    if (serial === undefined) return
    serials.push(Number(serial))
    lastMs = performance.now()
  }
  const startMs = performance.now()
  for (let serial = 0; serial < burstLines; serial++) appendFileSync(from, `${line(`${mark}${serial}-`)}\n`)
  await untilQuiet(() => serials.length)
  return { seconds: (lastMs - startMs) / 1_000, serials }
}

/** Waits long enough for late and doubled lines to show. @param {() => number} count */
async function untilQuiet(count) {
  const deadlineMs = performance.now() + patienceMs
  for (let seen = -1; performance.now() < deadlineMs; ) {
    if (seen === count() && seen >= burstLines) return
    seen = count()
    await sleep(2_000)
  }
}
