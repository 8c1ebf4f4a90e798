import { randomBytes } from "node:crypto"
import { type Clock, delay } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import { type Deal, expiryOf, partiesOf, stateAfter, stateAt } from "../../proposals/deal.js"
import {
  type DealEvent,
  type DisputeOptions,
  dealEventOf,
  type Proposal,
  type ProposalDraft,
  type ProposalQuery,
} from "../../proposals/deal-event.js"
import { type Receipt, receiptOf } from "../../proposals/receipt.js"
import { agentIdOfDid, readStatement, statementIn } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { parseAgentRef } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import { DealEngine, type DealRelay, MemoryDealStore } from "./deal-engine.js"

/** Attempts to sign an answer while the other party answers first. */
const maxAttempts = 3

/** Options of {@link DealCalls}. */
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
  readonly #identity: Identity
  readonly #clock: Clock
  readonly #relay: DealRelay
  readonly #store: MemoryDealStore
  readonly #engine: DealEngine

  constructor(options: DealCallsOptions, handlers?: StatementHandlers) {
    const { identity, clock, relay } = options
    this.#identity = identity
    this.#clock = clock
    this.#relay = relay
    this.#store = new MemoryDealStore((message, { statement, deal }) => {
      const isOwn = statement.from === identity.did
      handlers?.onValid(message, isOwn ? undefined : eventOf(deal, statement, message.name))
    })
    this.#engine = new DealEngine(
      { ...options, store: this.#store },
      {
        onInvalid: (_statement, error, message) => {
          if (message === undefined) throw error
          handlers?.onInvalid(message, error)
        },
        onDeferred: (message, error) => handlers?.onDeferred(message, error),
      },
    )
  }

  /** did:key of the agent. */
  get did(): string {
    return this.#identity.did
  }

  /**
   * Proposes a deal.
   * @param to - `@name` or `@id` of an agent with an identity
   * @throws {ChatError} IDENTITY_REQUIRED if that agent has none
   */
  async propose(to: string, { id = randomKey(), ...content }: ProposalDraft): Promise<DealEvent<"PROPOSAL">> {
    return this.#send({ ...content, type: "PROPOSAL", to: parseAgentRef(to) }, id)
  }

  /** Accepts a proposal. */
  accept(id: string, paymentCode?: string): Promise<DealEvent<"ACCEPT">> {
    return this.#send(draftOf({ type: "ACCEPT", proposal_id: id, payment_code: paymentCode }))
  }

  /** Rejects a proposal. */
  reject(id: string, reason?: string): Promise<DealEvent<"REJECT">> {
    return this.#send(draftOf({ type: "REJECT", proposal_id: id, reason }))
  }

  /** States that an accepted deal is carried out. */
  complete(id: string, proof?: string): Promise<DealEvent<"COMPLETE">> {
    return this.#send(draftOf({ type: "COMPLETE", proposal_id: id, proof }))
  }

  /** States that a deal is not carried out, or not as agreed. */
  dispute(id: string, reason: string, { fault }: DisputeOptions = {}): Promise<DealEvent<"DISPUTE">> {
    return this.#send(draftOf({ type: "DISPUTE", proposal_id: id, reason, fault }))
  }

  /** Lists the deals that the relay has of this agent, each verified. */
  async proposals({ id, since = 0 }: ProposalQuery = {}): Promise<Proposal[]> {
    const listed = id === undefined ? await this.#engine.fetchSince(since) : [await this.#engine.fetch(id)]
    return listed.map(({ deal, names }) => {
      const [proposal, ...steps] = deal.chain.map((statement) => {
        const agentId = agentIdOfDid(statement.from)
        return eventOf(deal, statement, Object.hasOwn(names, agentId) ? names[agentId] : undefined)
      })
      return { ...(proposal as DealEvent<"PROPOSAL">), state: stateAt(deal, this.#clock.now()), steps }
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
    const deal = isFresh ? (await this.#engine.fetch(id)).deal : await this.#engine.find(id)
    return deal.state === "pending" && partiesOf(deal)[0] === this.did ? expiryOf(deal) : undefined
  }

  async #send<V extends Verb>(draft: Draft & { readonly type: V }, key = randomKey()): Promise<DealEvent<V>> {
    for (let attempt = 1; ; attempt++) {
      const { statement, deal, isKnown } = await this.#engine.sign(draft, key)
      if (isKnown) return eventOf(deal, statement as Statement<V>, undefined)
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
    return eventOf(this.#engine.take(recorded, aud), recorded as Statement<V>, answer.name)
  }

  async #newest(id: string): Promise<Deal> {
    try {
      return (await this.#engine.fetch(id)).deal
    } catch (error) {
      // Relays drop closed deals, but a verified deal stays valid.
      const known = this.#store.get(id)
      if (known === undefined || !(error instanceof ChatError)) throw error
      return known
    }
  }
}

function eventOf<V extends Verb>(
  deal: Deal,
  statement: Statement<V>,
  name = agentIdOfDid((statement as Statement).from).slice(1),
): DealEvent<V> {
  return dealEventOf(statement, { name, state: stateAfter(deal, statement) })
}

/** Leaves out fields that are undefined. */
function draftOf<V extends Verb>(fields: { readonly type: V; readonly [field: string]: unknown }) {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(defined) as Draft & { readonly type: V }
}

function randomKey(): string {
  return randomBytes(16).toString("base64url")
}
