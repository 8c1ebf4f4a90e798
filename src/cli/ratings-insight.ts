/** Ratings looked into: why a number is what it is, and what it is to somebody who trusts a few. */

import { historyOf } from "../ratings/deal-history.js"
import type { DealRecord } from "../ratings/deal-record.js"
import { startRating } from "../ratings/elo.js"
import { type FoldOptions, foldRatings, type Move } from "../ratings/fold.js"
import { trustFrom } from "../ratings/trust.js"
import type { RatingFacts } from "./ratings-cache.js"
import { byRating, type ViewedAgent } from "./ratings-view.js"

/** What a deal did to an agent; of one that is not rated, `move` is undefined. */
export interface Explanation {
  readonly deal: DealRecord
  readonly counterparty: string
  readonly move: Move | undefined
}

/** Every agent of the receipts as somebody sees it who trusts those named. @param named - did:key */
export function trustedAgents(facts: RatingFacts, named: readonly string[]): ViewedAgent[] {
  const history = historyOf(facts.records.values(), facts.keyEnds)
  const trustIn = trustFrom(named, history)
  const standings = foldRatings(history, { trustIn })
  return Array.from(facts.agentIds, ([did, agentId]) => {
    const standing = standings.get(did) ?? { rating: startRating, transactions: 0, updatedTs: 0 }
    return { did, agentId, ...standing, trust: trustIn(did) }
  }).sort(byRating)
}

/** All that receipts tell of an agent's deals, in the order in which they counted. */
export function explain(
  facts: RatingFacts,
  did: string | undefined,
  named: readonly string[] | undefined,
): Explanation[] {
  const history = historyOf(facts.records.values(), facts.keyEnds)
  const moves = new Map<DealRecord, Move>()
  const onMove: FoldOptions["onMove"] = (move) => {
    if (move.agent === did) moves.set(move.deal, move)
  }
  foldRatings(history, { onMove, trustIn: named === undefined ? undefined : trustFrom(named, history) })
  return history.flatMap((deal) => {
    const [proposer, recipient] = deal.parties
    if (did !== proposer && did !== recipient) return []
    return [{ deal, counterparty: did === proposer ? recipient : proposer, move: moves.get(deal) }]
  })
}
