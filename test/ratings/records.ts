import { type FoldOptions, foldRatings } from "../../src/ratings/fold.js"
import type { DealRecord } from "../../src/ratings/history.js"
import { historyOf } from "../../src/ratings/history.js"
import type { KeySuccession } from "../../src/ratings/key-succession.js"

/** Returns the record of a deal between two letters; by default it ends n seconds after the epoch. */
export function record(
  proposer: string,
  recipient: string,
  n: number,
  changes: Partial<DealRecord> = {},
): DealRecord {
  const ts = n * 1_000
  return {
    proposal: `p${n}`,
    head: `h${n}`,
    steps: 3,
    id: `prop_${n}`,
    parties: [proposer, recipient],
    signedTs: [ts, ts],
    amount: undefined,
    outcome: "completed",
    ts,
    ...changes,
  }
}

/** Returns the ratings after these deals, by letter. */
export function ratingsAfter(
  records: readonly DealRecord[],
  options?: FoldOptions,
  keys?: KeySuccession,
): Record<string, number> {
  const standings = foldRatings(historyOf(records, keys), options)
  return Object.fromEntries(Array.from(standings, ([did, { rating }]) => [did, rating]))
}

/** Returns `count` deals of `agent`, each with another counterparty. */
export function strangers(agent: string, count: number, from = 1): DealRecord[] {
  return Array.from({ length: count }, (_, i) => record(agent, `${agent}-${from + i}`, from + i))
}
