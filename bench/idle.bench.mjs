// The cost of an idle daemon, an idle relay and an idle connection.
import { startHelper, withCleanup } from "./kit/children.mjs"
import { sleep } from "./kit/clock.mjs"
import { Home } from "./kit/home.mjs"
import { cpuSeconds, requireProcFiles, residentKib, wakeUps } from "./kit/proc-files.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median } from "./kit/statistics.mjs"

/** @typedef {import("./kit/children.mjs").Defer} Defer */

/** Time for the compiler and the garbage collector to finish the work of the start. */
const settleMs = 15_000
const watchMs = 30_000
const identities = 20
/** The first connections grow the heap; the next ones show the cost of one. */
const firstConnections = 500
const connections = 2_000
const rounds = 3

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  requireProcFiles()
  const daemons = await measureDaemons()
  const bare = await measureConnections(false)
  const ours = await measureConnections(true)
  return {
    goal: "one wake-up a second, 60 MiB for the first identity and 3 MiB for each further one, 1.5 times a bare connection",
    tables: [
      {
        caption: `A daemon that is online and idle, watched for ${watchMs / 1_000} s`,
        columns: [
          "identities in the process",
          "CPU s per minute",
          "wake-ups a second: main thread",
          "all threads",
          "RSS MiB",
          "MiB per further one",
        ],
        rows: daemons,
      },
      {
        caption: `RSS per idle connection, from ${firstConnections} to ${firstConnections + connections}; median of ${rounds}`,
        columns: ["", "KiB", "ratio"],
        rows: [
          ["bare ws", bare.toFixed(1), "1.00"],
          ["agentchat, identified", ours.toFixed(1), (ours / bare).toFixed(2)],
        ],
      },
    ],
    notes: ["a wake-up is a voluntary context switch; the other threads are V8's and libuv's"],
  }
}

function measureDaemons() {
  return withCleanup(async (defer) => {
    const { url, pid: relay } = await startRelay(defer)
    const home = new Home(defer)
    const { pid } = await home.startDaemon("default", url)
    const one = await watchProcess(pid)
    for (let i = 1; i < identities; i++) {
      const further = await home.startDaemon(`further-${i}`, url)
      if (further.pid !== pid) throw new Error("a further daemon did not join the process of the first")
    }
    const many = await watchProcess(pid)
    const served = await watchProcess(relay)
    const each = (many.mebibytes - one.mebibytes) / (identities - 1)
    return [
      row("1", one, "–"),
      row(String(identities), many, each.toFixed(2)),
      row("the relay of these", served, "–"),
    ]
  })
}

/** @param {number} pid */
async function watchProcess(pid) {
  await sleep(settleMs)
  const before = { cpu: cpuSeconds(pid), wakeUps: wakeUps(pid), ms: performance.now() }
  await sleep(watchMs)
  const seconds = (performance.now() - before.ms) / 1_000
  const after = wakeUps(pid)
  return {
    cpuPerMinute: ((cpuSeconds(pid) - before.cpu) / seconds) * 60,
    mainPerSecond: (after.main - before.wakeUps.main) / seconds,
    allPerSecond: (after.all - before.wakeUps.all) / seconds,
    mebibytes: residentKib(pid) / 1_024,
  }
}

/** @param {string} label @param {Awaited<ReturnType<typeof watchProcess>>} watched @param {string} each */
function row(label, { cpuPerMinute, mainPerSecond, allPerSecond, mebibytes }, each) {
  return [
    label,
    cpuPerMinute.toFixed(3),
    mainPerSecond.toFixed(2),
    allPerSecond.toFixed(2),
    mebibytes.toFixed(1),
    each,
  ]
}

/** @param {boolean} isOurs @returns KiB of one connection */
async function measureConnections(isOurs) {
  const found = []
  for (let round = 0; round < rounds; round++)
    found.push(await withCleanup((defer) => measureRound(isOurs, defer)))
  return median(found)
}

/** @param {boolean} isOurs @param {Defer} defer */
async function measureRound(isOurs, defer) {
  const { pid, port } = await (isOurs ? startRelay(defer) : startBare(defer))
  /** @type {import("./kit/children.mjs").Helper<import("./load/idlers.mjs").IdlersApi>} */
  const idlers = startHelper(new URL("load/idlers.mjs", import.meta.url), defer)
  await idlers.ask("open", { port, count: firstConnections, sessions: isOurs })
  await sleep(1_000)
  const before = residentKib(pid)
  await idlers.ask("open", { port, count: connections, sessions: isOurs })
  await sleep(1_000)
  return (residentKib(pid) - before) / connections
}

/** @param {Defer} defer */
async function startBare(defer) {
  /** @type {import("./kit/children.mjs").Helper<import("./bare/broadcast.mjs").BroadcastApi>} */
  const server = startHelper(new URL("bare/broadcast.mjs", import.meta.url), defer)
  return { pid: server.pid, port: await server.ask("open", { mode: "loop" }) }
}
