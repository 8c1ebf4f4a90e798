// Folds ratings in a separate process, so that its memory can be measured.
import process from "node:process"
import { importBuilt } from "../kit/built.mjs"
import { answer } from "../kit/children.mjs"

/** @typedef {{ path: string }} FoldOrder */
/** @typedef {{ deals: number, agents: number, ms: number, mebibytesBefore: number, mebibytes: number }} FoldResult */

const api = {
  /** @param {FoldOrder} order @returns {Promise<FoldResult>} */
  async fold({ path }) {
    const { readFacts } = /** @type {typeof import("../../src/cli/ratings/ratings-cache.js")} */ (
      await importBuilt("cli/ratings/ratings-cache.js")
    )
    const { historyOf } = /** @type {typeof import("../../src/ratings/history.js")} */ (
      await importBuilt("ratings/history.js")
    )
    const { foldRatings } = /** @type {typeof import("../../src/ratings/fold.js")} */ (
      await importBuilt("ratings/fold.js")
    )
    const mebibytesBefore = peakMebibytes()
    const read = readFacts(path)
    if (read === undefined) throw new Error(`${path} holds no facts`)
    const records = [...read.facts.records.values()]
    const startMs = performance.now()
    const standings = foldRatings(historyOf(records))
    const ms = performance.now() - startMs
    return { deals: records.length, agents: standings.size, ms, mebibytesBefore, mebibytes: peakMebibytes() }
  },
}

/** @typedef {typeof api} FoldApi */

answer(api)

function peakMebibytes() {
  return process.resourceUsage().maxRSS / 1_024
}
