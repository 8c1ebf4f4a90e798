import { agentIdOfDid } from "../../proposals/statement.js"
import { startRating } from "../../ratings/elo.js"
import { type FoldOptions, foldRatings, type Move } from "../../ratings/fold.js"
import { type DealRecord, historyOf, isAfterEnd } from "../../ratings/history.js"
import { type KeyEnd, Lineage } from "../../ratings/lineage.js"
import { trustFrom } from "../../ratings/trust.js"
import type { RatingFacts } from "./rating-facts.js"
import type { OtherKey, RatedAgent, RatingsDigest } from "./ratings-cache.js"
import { byRating, type Explanation, type ViewedAgent } from "./ratings-view.js"

/** Contradicted keys that are named. */
const namedAtMost = 5

/** What receipts and statements about keys come to, and why. */
export class RatedDeals {
  readonly digest: RatingsDigest
  readonly #history: readonly DealRecord[]
  readonly #lineage: Lineage
  /** Agent ids by did:key. */
  readonly #ids: Map<string, string>

  /** @param ends - what is known of keys besides what stands among the receipts */
  constructor(facts: RatingFacts, ends: readonly KeyEnd[]) {
    this.#lineage = new Lineage([...facts.keyEnds.values(), ...ends])
    this.#history = historyOf(facts.records.values(), this.#lineage)
    this.#ids = new Map(facts.agentIds)
    for (const { key, successor = key } of ends) {
      for (const did of [key, successor]) if (!this.#ids.has(did)) this.#ids.set(did, agentIdOfDid(did))
    }
    this.digest = this.#digest(facts)
  }

  /** The agent id of a did:key in these deals. */
  idOf(did: string): string {
    return this.#ids.get(did) ?? ""
  }

  /** Every agent as somebody sees it who trusts those named. @param named - did:key */
  trustedAgents(named: readonly string[]): ViewedAgent[] {
    const trustIn = trustFrom(named, this.#history)
    const standings = foldRatings(this.#history, { trustIn })
    return Array.from(this.#ids)
      .filter(([did]) => this.#lineage.newestOf(did) === did)
      .map(([did, agentId]) => {
        const standing = standings.get(did) ?? { rating: startRating, transactions: 0, updatedTs: 0 }
        return { did, agentId, ...standing, trust: trustIn(did) }
      })
      .sort(byRating)
  }

  /** All that is known of an agent's deals, in the order in which they counted. */
  explain(did: string | undefined, named: readonly string[] | undefined): Explanation[] {
    const moves = new Map<DealRecord, Move>()
    const onMove: FoldOptions["onMove"] = (move) => {
      if (move.agent === did) moves.set(move.deal, move)
    }
    foldRatings(this.#history, {
      onMove,
      trustIn: named === undefined ? undefined : trustFrom(named, this.#history),
    })
    return this.#history.flatMap((deal) => {
      const [proposer, recipient] = deal.parties
      if (did !== proposer && did !== recipient) return []
      return [{ deal, counterparty: did === proposer ? recipient : proposer, move: moves.get(deal) }]
    })
  }

  #digest({ records, refused }: RatingFacts): RatingsDigest {
    const deals = { completed: 0, unresolved: 0, proposer: 0, recipient: 0, mutual: 0 }
    for (const { outcome } of this.#history) deals[outcome] += 1
    const standings = foldRatings(this.#history)
    const agents = Array.from(standings, ([did, standing]): RatedAgent => {
      return { did, agentId: this.idOf(did), ...standing }
    })
    const others = Array.from(this.#ids)
      .filter(([did]) => !standings.has(did))
      .map(([did, agentId]): OtherKey => ({ did, agentId, newest: this.#lineage.newestOf(did) }))
    const { contradicted } = this.#lineage
    return {
      agents: agents.sort(byRating),
      others: others.sort((a, b) => (a.did < b.did ? -1 : 1)),
      deals,
      contradicted: {
        count: contradicted.length,
        first: contradicted.slice(0, namedAtMost).map((did) => this.idOf(did)),
      },
      belated: Array.from(records.values()).filter((record) => isAfterEnd(record, this.#lineage)).length,
      refused,
    }
  }
}
