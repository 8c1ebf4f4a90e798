// Measures a stalled reader in a busy channel: what it costs the relay, and whether the relay disconnects it.
import { withCleanup } from "./kit/children.mjs"
import { requireProcFiles, residentKib } from "./kit/proc-files.mjs"
import { median } from "./kit/statistics.mjs"
import { flood, openArena } from "./load/arena.mjs"

const contentBytes = 4_096
const totalBytes = 400 * 2 ** 20
const messages = totalBytes / contentBytes
const sampleMs = 20
const limitMs = 120_000
const rounds = 3

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  requireProcFiles()
  const none = await measureRounds(0)
  const one = await measureRounds(1)
  const costs = [one.peak - none.peak, one.end - none.end]
  return {
    goal: "a stalled reader costs at most 32 MiB and is cut off",
    tables: [
      {
        caption: `${totalBytes / 2 ** 20} MiB published in messages of ${contentBytes} bytes past a reader that reads; medians of ${rounds} fresh relays`,
        columns: ["", "relay grows at most by (MiB)", "and in the end by", "seconds", "cut off"],
        rows: [
          ["nobody stalls", none.peak.toFixed(1), none.end.toFixed(1), none.seconds.toFixed(1), ""],
          [
            "one reader stalls",
            one.peak.toFixed(1),
            one.end.toFixed(1),
            one.seconds.toFixed(1),
            `${one.cut} of ${rounds}`,
          ],
          ["so it costs", ...costs.map((mebibytes) => mebibytes.toFixed(1)), "", ""],
        ],
      },
    ],
  }
}

/** @param {number} stalled */
async function measureRounds(stalled) {
  const found = []
  for (let round = 0; round < rounds; round++) found.push(await measure(stalled))
  return {
    peak: median(found.map(({ peak }) => peak)),
    end: median(found.map(({ end }) => end)),
    seconds: median(found.map(({ seconds }) => seconds)),
    cut: found.filter(({ cut }) => cut > 0).length,
  }
}

/** @param {number} stalled */
function measure(stalled) {
  return withCleanup(async (defer) => {
    const arena = await openArena({ system: "agentchat", subscribers: 1, stalled, contentBytes }, defer)
    const startKib = residentKib(arena.pid)
    let peakKib = startKib
    const sampler = setInterval(() => {
      peakKib = Math.max(peakKib, residentKib(arena.pid))
    }, sampleMs)
    defer(() => clearInterval(sampler))
    const { seconds } = await flood(arena, { ms: limitMs, messages })
    const endKib = residentKib(arena.pid)
    const cut = await arena.receivers.ask("wakeStalled", undefined)
    return { peak: (peakKib - startKib) / 1_024, end: (endKib - startKib) / 1_024, seconds, cut }
  })
}
