import { LruMap } from "../../base/lru-map.js"
import { type Deal, hasStatement } from "../../proposals/deal.js"
import { DealBook } from "../../proposals/deal-book.js"
import { readStatement } from "../../proposals/statement.js"
import { ChatError, type ErrorCode } from "../../protocol/errors.js"
import type { ProposalEntry } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import type { DealRelay } from "./deal-relay.js"

/** Deals remembered; those not looked at for longest are asked for again. */
const maxDeals = 10_000

/** What may only mean that something before it was not heard. */
const gaps: readonly ErrorCode[] = ["PROPOSAL_NOT_FOUND", "PROPOSAL_STATE", "STATEMENT_STALE"]

/** A deal as a relay lists it, verified. */
interface Listed {
  readonly deal: Deal
  /** What its parties call themselves, by agent id. */
  readonly names: Readonly<Record<string, string>>
}

/** The deals of one agent: those it has heard of, and the relay's answer for the rest. Every statement is verified. */
export class DealChains {
  readonly #relay: DealRelay
  readonly #book: DealBook
  readonly #ids = new LruMap<string, true>(maxDeals, (id) => {
    this.#book.drop(id)
  })

  constructor(relay: DealRelay) {
    this.#relay = relay
    this.#book = new DealBook(relay.identity.keyPair.publicKey)
  }

  /** A deal as far as it is known here. */
  get(id: string): Deal | undefined {
    return this.#book.get(id)
  }

  /** A deal as far as it is known here, else as the relay knows it. @throws {ChatError} as {@link fetch} */
  async find(id: string): Promise<Deal> {
    return this.get(id) ?? (await this.fetch(id)).deal
  }

  /** Asks the relay for a deal. @throws {ChatError} PROPOSAL_NOT_FOUND; as {@link DealBook.takeChain} */
  async fetch(id: string): Promise<Listed> {
    const { listed } = await this.#list({ proposal: id })
    const found = listed.find(({ deal }) => deal.id === id)
    if (found !== undefined) return found
    throw new ChatError("PROPOSAL_NOT_FOUND", "proposal: the relay knows none of that id that is yours")
  }

  /** Every deal that changed since a time, in the relay's order. @throws {ChatError} as {@link fetch} */
  async fetchSince(since: number): Promise<Listed[]> {
    const all = new Map<string, Listed>()
    for (let from = since; ; ) {
      const { listed, hasMore } = await this.#list({ since: from })
      const known = all.size
      for (const one of listed) all.set(one.deal.id, one)
      const last = listed.at(-1)?.deal.chain.at(-1)?.ts
      // A relay that repeats itself is not asked for ever.
      if (!hasMore || last === undefined || (all.size === known && last <= from)) return [...all.values()]
      from = Math.max(from, last)
    }
  }

  /** Takes one's own statement as the relay recorded it. @throws {ChatError} as {@link DealBook.take} */
  take(statement: Statement, aud: string): Deal {
    const { deal } = this.#book.take(statement, aud)
    this.#ids.set(deal.id, true)
    return deal
  }

  /**
   * Takes a statement that was relayed; where something before it was not heard, that is asked for.
   * @throws {ChatError} as {@link DealBook.take}, and when the relay does not answer
   */
  async include(statement: Statement, aud: string): Promise<Deal> {
    try {
      return this.take(statement, aud)
    } catch (error) {
      if (!(error instanceof ChatError) || !gaps.includes(error.code) || statement.type === "PROPOSAL")
        throw error
      const { deal } = await this.fetch(statement.proposal_id)
      return hasStatement(deal, statement) ? deal : this.take(statement, aud)
    }
  }

  async #list(query: { proposal?: string; since?: number }): Promise<{ listed: Listed[]; hasMore: boolean }> {
    const aud = this.#relay.serverId()
    const { list, more = false } = await this.#relay.request({ type: "LIST_PROPOSALS", ...query })
    return { listed: list.flatMap((entry) => this.#takeEntry(entry, aud)), hasMore: more }
  }

  #takeEntry({ id, statements, names }: ProposalEntry, aud: string): Listed[] {
    this.#book.takeChain(statements.map(readStatement), aud)
    const deal = this.#book.get(id)
    if (deal === undefined) return []
    this.#ids.set(id, true)
    return [{ deal, names }]
  }
}
