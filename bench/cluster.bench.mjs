// Measures two relays on one NATS server against one relay on the same server: the cost of crossing relays.
import { startHelper, withCleanup } from "./kit/children.mjs"
import { natsVersion, startNats } from "./kit/nats-server.mjs"
import { cpuSeconds, requireProcFiles } from "./kit/proc-files.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median, spread } from "./kit/statistics.mjs"

/** @typedef {import("./load/talkers.mjs").Latency} Latency */
/** @typedef {Awaited<ReturnType<typeof measure>>} Figures */

const members = 50
const senders = 2
const inFlight = 200
const floodMs = 1_500
const rounds = 3
const single = { count: 150, pauseMs: 3 }

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  requireProcFiles()
  if (natsVersion === undefined) throw new Error("this benchmark needs nats-server")
  /** @type {Figures[]} */
  const one = []
  /** @type {Figures[]} */
  const two = []
  for (let round = 0; round < rounds; round++) {
    one.push(await measure(1))
    two.push(await measure(2))
  }
  const ratio = median(two.map(({ rate }) => rate)) / median(one.map(({ rate }) => rate))
  return {
    goal: "two relays carry 0.8 of one's messages or more, and going across takes at most twice as long",
    tables: [
      {
        caption: `Messages to ${members} members from ${senders} senders, ${inFlight} in flight: medians of ${rounds} (least–most) fresh relays and servers`,
        columns: [
          "",
          "thousand messages/s",
          "thousand deliveries/s",
          "relay CPU ms per 1000",
          "NATS CPU ms per 1000",
        ],
        rows: [
          ["one relay", ...throughputCells(one)],
          ["two relays", ...throughputCells(two)],
          ["two / one", ratio.toFixed(2)],
        ],
      },
      {
        caption: `Milliseconds from sending to each of ${members} members, ${single.count} messages one by one: medians of ${rounds} (least–most)`,
        columns: ["", "p50", "p99"],
        rows: [
          ["one relay", ...latencyCells(one.map(({ near }) => near))],
          ["two relays, at the sender's", ...latencyCells(two.map(({ near }) => near))],
          ["two relays, at the other", ...latencyCells(two.flatMap(({ far }) => far ?? []))],
        ],
      },
    ],
    notes: [
      `a channel that is not durable; nats-server ${natsVersion}, one node`,
      "a message counts when it was acknowledged and every member has it: everybody counts, two at each relay check that each comes once and in order",
      "senders and members are spread evenly over the relays; all share this machine's processors with the server and with those who measure",
    ],
  }
}

/** @param {number} relayCount */
function measure(relayCount) {
  return withCleanup(async (defer) => {
    const nats = await startNats(defer, { isKeeping: true })
    /** @type {Awaited<ReturnType<typeof startRelay>>[]} */
    const relays = []
    for (let index = 0; index < relayCount; index++) {
      relays.push(await startRelay(defer, { args: ["--backbone", nats.url] }))
    }
    /** @type {import("./kit/children.mjs").Helper<import("./load/talkers.mjs").TalkersApi>} */
    const talkers = startHelper(new URL("load/talkers.mjs", import.meta.url), defer)
    const ports = relays.map(({ port }) => port)
    await talkers.ask("open", { ports, senders, members, isDurable: false })
    await talkers.ask("flood", { ms: floodMs / 2, inFlight })
    const relayCpu = () => relays.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
    const before = { relays: relayCpu(), nats: cpuSeconds(nats.pid) }
    const { perSecond, count } = await talkers.ask("flood", { ms: floodMs, inFlight })
    // Seconds per message count equal milliseconds per thousand messages.
    const relayMs = ((relayCpu() - before.relays) / count) * 1e6
    const natsMs = ((cpuSeconds(nats.pid) - before.nats) / count) * 1e6
    return { rate: perSecond / 1_000, relayMs, natsMs, ...(await talkers.ask("latency", single)) }
  })
}

/** @param {readonly Figures[]} figures */
function throughputCells(figures) {
  return [
    spread(
      figures.map(({ rate }) => rate),
      1,
    ),
    spread(
      figures.map(({ rate }) => rate * members),
      0,
    ),
    spread(
      figures.map(({ relayMs }) => relayMs),
      0,
    ),
    spread(
      figures.map(({ natsMs }) => natsMs),
      0,
    ),
  ]
}

/** @param {readonly Latency[]} latencies */
function latencyCells(latencies) {
  return [
    spread(
      latencies.map(({ p50 }) => p50),
      2,
    ),
    spread(
      latencies.map(({ p99 }) => p99),
      2,
    ),
  ]
}
