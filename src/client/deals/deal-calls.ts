import { randomBytes } from "node:crypto"
import { type Clock, delay } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import type { Identity } from "../../identity/identity-file.js"
import { type Deal, expiryOf, partiesOf } from "../../proposals/deal.js"
import {
  type DealEvent,
  eventIn,
  type Proposal,
  type ProposalQuery,
  proposalOf,
} from "../../proposals/deal-event.js"
import { type Receipt, receiptOf } from "../../proposals/receipt.js"
import { readStatement, statementIn } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import { DealEngine, type DealRelay } from "./deal-engine.js"

/** Attempts to sign an answer while the other party answers first. */
const maxAttempts = 3
/** Deals kept in memory; one that was dropped is fetched from the relay again. */
const maxDeals = 10_000

export interface DealCallsOptions {
  readonly identity: Identity
  readonly clock: Clock
  readonly relay: DealRelay
}

/** Called with the result of each message that was given to {@link DealCalls.receive}. */
export interface StatementHandlers {
  /** @param event - undefined for a statement of your own */
  onValid(message: ServerMessage<Verb>, event: DealEvent | undefined): void
  onInvalid(message: ServerMessage<Verb>, error: ChatError): void
  /** Called for a statement that cannot be checked now; the relay will send it again. */
  onDeferred(message: ServerMessage<Verb>, error: ChatError): void
}

/**
 * The deals that one agent makes over one relay.
 *
 * Every method rejects with a ChatError: the relay's refusal, the rule that forbids the statement, or
 * VERIFICATION_FAILED for an invalid answer of the relay.
 */
export class DealCalls {
  readonly did: string
  readonly #clock: Clock
  readonly #relay: DealRelay
  readonly #deals = new LruMap<string, Deal>(maxDeals)
  readonly #engine: DealEngine

  constructor(options: DealCallsOptions, handlers?: StatementHandlers) {
    const { identity, clock, relay } = options
    this.did = identity.did
    this.#clock = clock
    this.#relay = relay
    this.#engine = new DealEngine(options, {
      get: (id) => this.#deals.get(id),
      add: ({ statement, deal, message }) => {
        this.#deals.set(deal.id, deal)
        if (message === undefined) return
        const isOwn = statement.from === this.did
        handlers?.onValid(message, isOwn ? undefined : eventIn(deal, statement, message.name))
      },
      onInvalid: (_statement, error, message) => {
        if (message === undefined) throw error
        handlers?.onInvalid(message, error)
      },
      onDeferred: (message, error) => handlers?.onDeferred(message, error),
    })
  }

  /** Signs a draft and sends it. @param key - unique per draft: a repeated one makes no second statement */
  async send<V extends Verb>(draft: Draft & Draft<V>, key = randomKey()): Promise<DealEvent<V>> {
    for (let attempt = 1; ; attempt++) {
      const { statement, deal, isKnown } = await this.#engine.sign(draft, key)
      if (isKnown) return eventIn(deal, statement as Statement<V>)
      try {
        return await this.#request(statement as Statement<V>)
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "STATEMENT_STALE" || attempt === maxAttempts)
          throw error
        this.#engine.markStale(deal.id)
        if (error.retryAfterMs !== undefined) await delay(this.#clock, error.retryAfterMs)
      }
    }
  }

  async proposals({ id, since = 0 }: ProposalQuery = {}): Promise<Proposal[]> {
    const listed = id === undefined ? await this.#engine.fetchSince(since) : [await this.#engine.fetch(id)]
    return listed.map(({ deal, names }) => {
      const nameOf = (party: string) => (Object.hasOwn(names, party) ? names[party] : undefined)
      return proposalOf(deal, nameOf, this.#clock.now())
    })
  }

  /**
   * Returns the receipt of a deal.
   * @throws {ChatError} PROPOSAL_NOT_FOUND; PROPOSAL_STATE until a party has completed or disputed the deal
   */
  async receipt(id: string): Promise<Receipt> {
    const deal = await this.#newest(id)
    const receipt = receiptOf(deal)
    if (receipt !== undefined) return receipt
    throw new ChatError("PROPOSAL_STATE", `receipt: ${deal.id} is ${deal.state}`, {
      hint: "there is a receipt once one of the parties has completed or disputed the deal",
    })
  }

  /** Verifies a statement that the relay sent. @param aud - `server_id` of that relay */
  receive(message: ServerMessage<Verb>, aud: string): void {
    this.#engine.receive(message, aud)
  }

  /** Discards what was received and is not verified yet. */
  reset(): void {
    this.#engine.reset()
  }

  /**
   * Returns until when the other party can answer a proposal of yours, in milliseconds since the Unix epoch; undefined
   * if the deal does not wait for that.
   * @param isFresh - ask the relay even if the deal is known
   */
  async answerableUntil(id: string, isFresh = false): Promise<number | undefined> {
    const known = isFresh ? undefined : this.#deals.get(id)
    const deal = known ?? (await this.#engine.fetch(id)).deal
    return deal.state === "pending" && partiesOf(deal)[0] === this.did ? expiryOf(deal) : undefined
  }

  async #request<V extends Verb>(statement: Statement<V>): Promise<DealEvent<V>> {
    const aud = this.#relay.serverId()
    const frame: Statement = statement
    const answer = await this.#relay.request(frame)
    const recorded = readStatement(statementIn(answer))
    // The relay may have recorded the same draft as signed in an earlier attempt.
    if (recorded.id !== statement.id || recorded.type !== statement.type || recorded.from !== this.did) {
      throw new ChatError(
        "VERIFICATION_FAILED",
        `${statement.type}: the relay answered with another statement`,
      )
    }
    return eventIn(this.#engine.take(recorded, aud), recorded as Statement<V>, answer.name)
  }

  async #newest(id: string): Promise<Deal> {
    try {
      return (await this.#engine.fetch(id)).deal
    } catch (error) {
      // Relays drop closed deals, but a verified deal stays valid.
      const known = this.#deals.get(id)
      if (known === undefined || !(error instanceof ChatError)) throw error
      return known
    }
  }
}

function randomKey(): string {
  return randomBytes(16).toString("base64url")
}
