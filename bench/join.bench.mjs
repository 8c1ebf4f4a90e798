// Measures many agents joining one channel: everybody learns about everybody, which is quadratic if done naively.
import { startHelper, withCleanup } from "./kit/children.mjs"
import { cpuSeconds, requireProcFiles } from "./kit/proc-files.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median } from "./kit/statistics.mjs"

const count = 1_000
const rounds = 3

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  requireProcFiles()
  const rows = []
  for (const persistent of [false, true]) {
    /** @type {Awaited<ReturnType<typeof measure>>[]} */
    const found = []
    for (let round = 0; round < rounds; round++) found.push(await measure(persistent))
    const middle = (/** @type {keyof (typeof found)[number]} */ key) =>
      median(found.map((one) => one[key])).toFixed(2)
    rows.push([
      persistent ? "persistent" : "ephemeral",
      middle("connectCpu"),
      middle("joinCpu"),
      middle("cpu"),
      middle("mebibytes"),
    ])
  }
  return {
    goal: "under 1 s of relay CPU and under 64 MiB sent",
    tables: [
      {
        caption: `${count} agents join one channel; medians of ${rounds} fresh relays`,
        columns: ["identity", "CPU s: connecting", "CPU s: joining", "CPU s: both", "MiB sent while joining"],
        rows,
      },
    ],
    notes: [
      "connecting includes the WebSocket upgrade, and for persistent identities one signature to verify each",
    ],
  }
}

/** @param {boolean} persistent */
function measure(persistent) {
  return withCleanup(async (defer) => {
    const relay = await startRelay(defer)
    /** @type {import("./kit/children.mjs").Helper<import("./load/joiners.mjs").JoinersApi>} */
    const joiners = startHelper(new URL("load/joiners.mjs", import.meta.url), defer)
    const startCpu = cpuSeconds(relay.pid)
    await joiners.ask("connect", { port: relay.port, count, persistent })
    const connectedCpu = cpuSeconds(relay.pid)
    const bytes = await joiners.ask("join", undefined)
    const joinedCpu = cpuSeconds(relay.pid)
    return {
      connectCpu: connectedCpu - startCpu,
      joinCpu: joinedCpu - connectedCpu,
      cpu: joinedCpu - startCpu,
      mebibytes: bytes / 2 ** 20,
    }
  })
}
