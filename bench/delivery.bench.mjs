// Measures how fast a relay accepts messages that it must not lose, against its storage engine alone.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { startHelper, withCleanup } from "./kit/children.mjs"
import { waitUntil } from "./kit/clock.mjs"
import { natsVersion, startNats } from "./kit/nats-server.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median, spread } from "./kit/statistics.mjs"
import { makeDirectory } from "./kit/temporary.mjs"

/** @typedef {import("./kit/children.mjs").Defer} Defer */
/** @typedef {"memory" | "sql" | "nats"} Engine */
/** @typedef {import("./load/batch-count.mjs").Batches} Batches */
/** @typedef {{ label: string, senders: number, members: number }} Setting */
/** @typedef {{ p50: number, p99: number }} Latency */

/** @type {readonly Setting[]} */
const settings = [
  { label: "1 sender, 1 member", senders: 1, members: 1 },
  { label: "1, 10", senders: 1, members: 10 },
  { label: "10, 1", senders: 10, members: 1 },
  { label: "10, 10", senders: 10, members: 10 },
]
const inFlight = 500
const rounds = 3
const floodMs = 400
const single = { count: 300, pauseMs: 3 }
/** Messages that one sender may leave in a mailbox: a quarter of it. */
const queued = 10_000
const queuedInMemory = 1_000
const writing = {
  bareSingle: "SQL alone, a transaction each",
  bareGrouped: "SQL alone, grouped like agentchat",
  bareIds: "the same, and their ids",
  sql: "agentchat serve --data",
  bareJetStream: `JetStream alone, ${inFlight} in flight`,
  nats: "agentchat serve --backbone",
}
/** @typedef {keyof typeof writing} Writer */
/** @typedef {Record<Writer, number[]> & { groups: number[] }} Writes - thousands a second */

/** @type {readonly (readonly [Engine, string])[]} */
const engines = [
  ["memory", "in memory"],
  ["sql", "--data"],
  ["nats", "--backbone"],
]

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  if (natsVersion === undefined) throw new Error("this benchmark needs nats-server")
  const columns = []
  for (const setting of settings) columns.push(await withCleanup((defer) => compareWrites(setting, defer)))
  const letters = []
  for (const [engine, label] of engines)
    letters.push({ label, ...(await withCleanup((defer) => measureLetters(engine, defer))) })
  return {
    goal: "0.5 of the engine alone or more, where both keep many at once",
    tables: [
      {
        caption: `Thousands of messages a second into a durable channel, ${inFlight} in flight: median of ${rounds} (least–most)`,
        columns: ["", ...settings.map(({ label }) => label)],
        rows: writeRows(columns),
      },
      {
        caption: `Milliseconds of a direct message: to its ACK, and there, on the reader's disk, and the news of it back; ${single.count} one by one`,
        columns: [
          "",
          "echo: p50",
          "p99",
          "engine alone: p50",
          "p99",
          "ACK: p50",
          "p99",
          "and back: p50",
          "p99",
        ],
        rows: letters.map(({ label, echo, alone, trip }) => [
          label,
          ...toCells(echo),
          ...toCells(alone),
          ...toCells(trip.accepted),
          ...toCells(trip.arrived),
        ]),
      },
      {
        caption: "Direct messages that wait for an agent which comes back: each comes once, checked",
        columns: ["", "messages", "s to keep", "s to receive", "s until the writer knows"],
        rows: letters.map(({ label, count, keptSeconds, back }) => [
          label,
          count,
          keptSeconds.toFixed(2),
          back.seconds.toFixed(2),
          back.knownSeconds.toFixed(2),
        ]),
      },
    ],
    notes: [
      "a message counts when it was acknowledged and every member has it: everybody counts, two at each relay check that each comes once and in order",
      "SQL alone: the driver and the settings of the relay (write-ahead log, synchronous), one table, one insert for a message, which is as long as what the relay keeps",
      "their ids: by which a message that is sent twice is known to be one, as agentchat and JetStream know it",
      `JetStream alone: the library, stream and ids of the relay, a store on the same disk; nats-server ${natsVersion} itself writes to the disk later`,
      "echo: a bare WebSocket server sends the frame back; the direct message goes two such ways",
    ],
  }
}

/**
 * Measures all systems in turn, round after round, so that other load on the machine affects all of them.
 * @param {Setting} setting
 * @param {Defer} defer
 */
async function compareWrites(setting, defer) {
  const sql = await openRelay("sql", defer)
  const nats = await openRelay("nats", defer)
  const sqlTalkers = await openTalkers(sql.port, setting, defer)
  const natsTalkers = await openTalkers(nats.port, setting, defer)
  const bareSql = await openSql(defer)
  const jetStream = await openJetStream(defer)
  /** @type {Writes} */
  const found = {
    bareSingle: [],
    bareGrouped: [],
    bareIds: [],
    sql: [],
    bareJetStream: [],
    nats: [],
    groups: [],
  }
  for (let round = -1; round < rounds; round++) {
    await sql.takeBatches()
    const { perSecond, textBytes: bytes } = await sqlTalkers.ask("flood", { ms: floodMs, inFlight })
    const { batches, appends } = await sql.takeBatches()
    const group = Math.max(1, Math.round(appends / batches))
    const grouped = await bareSql.ask("insert", { ms: floodMs, group, bytes })
    const withIds = await bareSql.ask("insert", { ms: floodMs, group, bytes, hasIds: true })
    const singly = await bareSql.ask("insert", { ms: floodMs, group: 1, bytes })
    const shared = await natsTalkers.ask("flood", { ms: floodMs, inFlight })
    const published = await jetStream.ask("publish", { ms: floodMs, inFlight, bytes })
    // The first round warms up the JIT compilers.
    if (round < 0) continue
    found.sql.push(perSecond / 1_000)
    found.bareGrouped.push(grouped / 1_000)
    found.bareIds.push(withIds / 1_000)
    found.bareSingle.push(singly / 1_000)
    found.nats.push(shared.perSecond / 1_000)
    found.bareJetStream.push(published / 1_000)
    found.groups.push(group)
  }
  return found
}

/** @param {readonly Writes[]} columns */
function writeRows(columns) {
  const ratio = (/** @type {Writer} */ ours, /** @type {Writer} */ bare) =>
    columns.map((column) => (median(column[ours]) / median(column[bare])).toFixed(2))
  return [
    ...Object.entries(writing).map(([key, label]) => [
      label,
      ...columns.map((column) => spread(column[/** @type {Writer} */ (key)], 1)),
    ]),
    ["messages in one group", ...columns.map(({ groups }) => spread(groups, 0))],
    ["--data / SQL, a transaction each", ...ratio("sql", "bareSingle")],
    ["--data / SQL, grouped", ...ratio("sql", "bareGrouped")],
    ["--data / SQL, grouped, with ids", ...ratio("sql", "bareIds")],
    ["--backbone / JetStream", ...ratio("nats", "bareJetStream")],
  ]
}

/** @param {Engine} engine @param {Defer} defer */
async function measureLetters(engine, defer) {
  const { port } = await openRelay(engine, defer)
  /** @type {import("./kit/children.mjs").Helper<import("./bare/echo.mjs").EchoApi>} */
  const bare = startHelper(new URL("bare/echo.mjs", import.meta.url), defer)
  const echoPort = await bare.ask("open", undefined)
  /** @type {import("./kit/children.mjs").Helper<import("./load/letters.mjs").LettersApi>} */
  const letters = startHelper(new URL("load/letters.mjs", import.meta.url), defer)
  await letters.ask("open", { port })
  await letters.ask("roundTrips", single)
  await letters.ask("echo", { port: echoPort, ...single })
  const trip = await letters.ask("roundTrips", single)
  const echo = await letters.ask("echo", { port: echoPort, ...single })
  const alone = await measureAlone(engine, defer)
  const count = engine === "memory" ? queuedInMemory : queued
  const keptSeconds = await letters.ask("queue", { count, inFlight })
  const back = await letters.ask("collect", { count })
  return { trip, echo, alone, count, keptSeconds, back }
}

/** Keeps one message with the engine alone. @param {Engine} engine @param {Defer} defer @returns {Promise<Latency | undefined>} */
async function measureAlone(engine, defer) {
  if (engine === "memory") return undefined
  const paced = { count: single.count, bytes: 250 }
  // The first run warms up the JIT compilers.
  if (engine === "sql") {
    const sql = await openSql(defer)
    await sql.ask("latency", paced)
    return sql.ask("latency", paced)
  }
  const jetStream = await openJetStream(defer)
  await jetStream.ask("latency", paced)
  return jetStream.ask("latency", paced)
}

/** @param {Defer} defer */
async function openSql(defer) {
  /** @type {import("./kit/children.mjs").Helper<import("./bare/sql.mjs").SqlApi>} */
  const bare = startHelper(new URL("bare/sql.mjs", import.meta.url), defer)
  await bare.ask("open", { directory: makeDirectory(defer) })
  return bare
}

/** @param {Defer} defer */
async function openJetStream(defer) {
  const { url } = await startNats(defer, { isKeeping: true })
  /** @type {import("./kit/children.mjs").Helper<import("./bare/jetstream.mjs").JetStreamApi>} */
  const bare = startHelper(new URL("bare/jetstream.mjs", import.meta.url), defer)
  await bare.ask("open", { url })
  return bare
}

/** @param {number} port @param {Setting} setting @param {Defer} defer */
async function openTalkers(port, { senders, members }, defer) {
  /** @type {import("./kit/children.mjs").Helper<import("./load/talkers.mjs").TalkersApi>} */
  const talkers = startHelper(new URL("load/talkers.mjs", import.meta.url), defer)
  await talkers.ask("open", { ports: [port], senders, members, isDurable: true })
  return talkers
}

/** @param {Engine} engine @param {Defer} defer */
async function openRelay(engine, defer) {
  const directory = makeDirectory(defer)
  const countsFile = join(directory, "batches.json")
  const counter = new URL(`load/batch-count.mjs?to=${encodeURIComponent(countsFile)}`, import.meta.url)
  const relay = await startRelay(defer, {
    args: await toArguments(engine, directory, defer),
    nodeArgs: engine === "sql" ? ["--import", counter.href] : [],
  })
  /** Returns the batches written to the store since the last call. @returns {Promise<Batches>} */
  const takeBatches = async () => {
    const before = readText(countsFile)
    process.kill(relay.pid, "SIGUSR2")
    await waitUntil("the counts of the store", () => readText(countsFile) !== before)
    /** @type {unknown} */
    const counts = JSON.parse(readText(countsFile))
    return /** @type {Batches} */ (counts)
  }
  return { ...relay, takeBatches }
}

/** @param {Engine} engine @param {string} directory @param {Defer} defer */
async function toArguments(engine, directory, defer) {
  if (engine === "memory") return []
  if (engine === "sql") return ["--data", directory]
  return ["--backbone", (await startNats(defer, { isKeeping: true })).url]
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

/** @param {Latency | undefined} latency */
function toCells(latency) {
  return latency === undefined ? ["–", "–"] : [latency.p50.toFixed(2), latency.p99.toFixed(2)]
}
