// Measures fan-out: deliveries per second, and the latency of one delivery.
import { withCleanup } from "./kit/children.mjs"
import { natsVersion } from "./kit/nats-server.mjs"
import { median, spread } from "./kit/statistics.mjs"
import { flood, measureLatency, openArena } from "./load/arena.mjs"

/** @typedef {import("./load/arena.mjs").ArenaOptions} ArenaOptions */
/** @typedef {import("./load/arena.mjs").System} System */
/** @typedef {{ rates: number[], bytesEach: number }} Throughput - millions of deliveries a second */

const contentBytes = 100
const largest = 500
const manyPublishers = 4
/** @type {readonly (Omit<ArenaOptions, "system" | "contentBytes"> & { label: string })[]} */
const settings = [
  { label: "10", subscribers: 10 },
  { label: "100", subscribers: 100 },
  { label: "500", subscribers: largest },
  { label: "500, 4 publishers", subscribers: largest, publishers: manyPublishers },
  { label: "10, in batches", subscribers: 10, batch: 256 },
]
const rounds = 3
const floodMs = 700
const lonely = { bursts: 60, burst: 1 }
const bursts = { bursts: 6, burst: 100 }

/** @type {readonly (readonly [System, string])[]} */
const systems = [
  ["loop", "bare ws.send loop"],
  ["frame", "bare shared frame"],
  ["turn", "bare shared turn"],
  ...(natsVersion === undefined ? [] : [/** @type {const} */ (["nats", `nats-server ${natsVersion}`])]),
  ["agentchat", "agentchat"],
]

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  const columns = []
  for (const setting of settings) columns.push(await compareThroughput(setting))
  return {
    goal: "0.8 of the bare shared frame or more, at 10, 100 and 500 subscribers",
    tables: [
      {
        caption: `Millions of deliveries a second, by subscribers: median of ${rounds} (least–most); ${contentBytes}-byte messages`,
        columns: ["", ...settings.map(({ label }) => label)],
        rows: throughputRows(columns),
      },
      {
        caption: `Milliseconds from sending to delivery at ${largest} subscribers`,
        columns: [
          "",
          "one alone: p50",
          "p99",
          `burst of ${bursts.burst}: p50`,
          "p99",
          "from 4 publishers: p50",
          "p99",
        ],
        rows: await latencyRows(),
      },
    ],
    notes: [
      "a publisher writes every message by itself, as a client does; in batches, 256 in one write",
      `bytes on the wire of one delivery: bare ${bytesOf(columns, "frame")}, agentchat ${bytesOf(columns, "agentchat")}`,
      ...(natsVersion === undefined ? ["SKIPPED: nats-server is not installed, so it has no row"] : []),
    ],
  }
}

/**
 * Measures all systems in turn, round after round, so that other load on the machine affects all of them.
 * @param {Omit<ArenaOptions, "system" | "contentBytes">} options
 */
function compareThroughput(options) {
  return withCleanup(async (defer) => {
    const arenas = []
    for (const [system] of systems) {
      arenas.push({ system, arena: await openArena({ ...options, system, contentBytes }, defer) })
    }
    /** @type {Map<System, Throughput>} */
    const results = new Map()
    for (const { system, arena } of arenas) {
      const { bytesEach } = await flood(arena, { ms: floodMs })
      results.set(system, { rates: [], bytesEach })
    }
    for (let round = 0; round < rounds; round++) {
      for (const { system, arena } of arenas) {
        const { perSecond } = await flood(arena, { ms: floodMs })
        results.get(system)?.rates.push(perSecond / 1e6)
      }
    }
    return results
  })
}

/** @param {readonly Map<System, Throughput>[]} columns */
function throughputRows(columns) {
  const rates = (/** @type {Map<System, Throughput>} */ column, /** @type {System} */ system) =>
    column.get(system)?.rates ?? [Number.NaN]
  /** @param {System} system */
  const ratio = (system) =>
    columns.map((column) => (median(rates(column, "agentchat")) / median(rates(column, system))).toFixed(2))
  return [
    ...systems.map(([system, label]) => [
      label,
      ...columns.map((column) => spread(rates(column, system), 2)),
    ]),
    ["agentchat / bare shared frame", ...ratio("frame")],
    ["agentchat / bare shared turn", ...ratio("turn")],
  ]
}

async function latencyRows() {
  const rows = []
  for (const [system, label] of systems) {
    rows.push(
      await withCleanup(async (defer) => {
        const arena = await openArena({ system, subscribers: largest, contentBytes }, defer)
        const many = await openArena(
          { system, subscribers: largest, publishers: manyPublishers, contentBytes },
          defer,
        )
        await measureLatency(arena, lonely)
        const found = [
          await measureLatency(arena, lonely),
          await measureLatency(arena, bursts),
          await measureLatency(many, bursts),
        ]
        return [label, ...found.flatMap(({ p50, p99 }) => [p50.toFixed(2), p99.toFixed(2)])]
      }),
    )
  }
  return rows
}

/** @param {readonly Map<System, Throughput>[]} columns @param {System} system */
function bytesOf(columns, system) {
  return columns[0]?.get(system)?.bytesEach.toFixed(0) ?? "–"
}
