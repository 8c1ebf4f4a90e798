import { formatDidKey, type PublicKey } from "../identity/keys.js"
import { ChatError } from "../protocol/errors.js"
import type { Statement } from "../protocol/statements.js"
import { proposalIdOf } from "../protocol/verbs.js"
import { advanceDeal, type Deal, dealOf, hasStatement, openDeal } from "./deal.js"
import { verifyStatement } from "./statement.js"

/** What became of a statement. */
export interface Taken {
  readonly deal: Deal
  /** False for one that was known. */
  readonly isNew: boolean
}

/** The deals one agent is a party of, each step verified by itself: no relay is believed. */
export class DealBook {
  readonly #did: string
  readonly #deals = new Map<string, Deal>()

  constructor(publicKey: PublicKey) {
    this.#did = formatDidKey(publicKey)
  }

  get(id: string): Deal | undefined {
    return this.#deals.get(id)
  }

  /** Every deal, the one that was opened first standing first. */
  list(): Deal[] {
    return [...this.#deals.values()]
  }

  /**
   * Takes a statement that a relay passed on.
   * @param aud - `server_id` of that relay
   * @throws {ChatError} PROPOSAL_NOT_FOUND for an answer to an unknown proposal; VERIFICATION_FAILED, PROPOSAL_STATE,
   * NOT_A_PARTY, PROPOSAL_EXPIRED, STATEMENT_STALE, INVALID_MSG for one that must not be believed
   */
  take(statement: Statement, aud: string): Taken {
    const id = proposalIdOf(statement)
    const known = this.#deals.get(id)
    if (known !== undefined && hasStatement(known, statement)) return { deal: known, isNew: false }
    this.#requireMine(statement)
    if (statement.aud !== aud) {
      throw new ChatError("VERIFICATION_FAILED", `${statement.type}.aud: is another server than this one`)
    }
    verifyStatement(statement)
    if (known === undefined && statement.type !== "PROPOSAL") {
      throw new ChatError("PROPOSAL_NOT_FOUND", `${statement.type}.proposal_id: ${id} is not known here`)
    }
    const deal =
      known === undefined ? openDeal(statement as Statement<"PROPOSAL">) : advanceDeal(known, statement)
    this.#deals.set(id, deal)
    return { deal, isNew: true }
  }

  /**
   * Takes a whole chain, and so what was missed of it.
   * @returns the statements that were not known, with the deal after each; none when the chain is not longer
   * @throws {ChatError} as {@link take}; STATEMENT_STALE for a chain that contradicts the one that is known
   */
  takeChain(statements: readonly Statement[], aud: string): Taken[] {
    const taken: Taken[] = []
    for (const statement of statements) {
      const outcome = this.take(statement, aud)
      if (outcome.isNew) taken.push(outcome)
    }
    return taken
  }

  /** Takes over a chain that was taken, and so verified, before. @throws {ChatError} when it is none */
  restore(statements: readonly Statement[]): void {
    const deal = dealOf(statements)
    this.#deals.set(deal.id, deal)
  }

  /** Forgets a deal. */
  drop(id: string): void {
    this.#deals.delete(id)
  }

  #requireMine({ type, from, to }: Statement): void {
    if (from === this.#did || to === this.#did) return
    throw new ChatError("NOT_A_PARTY", `${type}: is between two others`)
  }
}
