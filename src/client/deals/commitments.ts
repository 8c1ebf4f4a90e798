import { randomBytes } from "node:crypto"
import { delay } from "../../base/clock.js"
import { type Deal, dealOf, expiryOf, partiesOf, stateAt } from "../../proposals/deal.js"
import { newsOf, statementIn, statementMessageId } from "../../proposals/deal-news.js"
import {
  type AnswerDraft,
  type Signing,
  signAnswer,
  signProposal,
  statementId,
} from "../../proposals/draft.js"
import { type Receipt, receiptOf } from "../../proposals/receipt.js"
import { agentIdOfDid, readStatement } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentRef, parseAgentRef, persistentIdPattern } from "../../protocol/names.js"
import type { DealState, RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import { DealChains } from "./deal-chains.js"
import type { DealEvent, DisputeOptions, Offer, Proposal, ProposalQuery } from "./deal-event.js"
import type { DealRelay } from "./deal-relay.js"

/** Times an answer is signed at most while the other party keeps saying something first. */
const mostTries = 3

/**
 * The deals one agent makes over one relay. It signs what it says, and believes only what it has verified itself:
 * a relay can keep a statement back, and nothing more.
 *
 * Every method rejects with a ChatError: the relay's refusal, the rule that forbids the step, or VERIFICATION_FAILED
 * for an answer of the relay that proves something else.
 */
export class Commitments {
  readonly #relay: DealRelay
  readonly #chains: DealChains

  constructor(relay: DealRelay) {
    this.#relay = relay
    this.#chains = new DealChains(relay)
  }

  /** did:key of who makes the deals. */
  get did(): string {
    return this.#relay.identity.did
  }

  /** Proposes something to an agent, `@name` or `@id`. @throws {ChatError} IDENTITY_REQUIRED when it has no key */
  async propose(to: string, offer: Offer): Promise<DealEvent<"PROPOSAL">> {
    const ref = parseAgentRef(to)
    const did = await this.#didOf(ref)
    const { id: key = randomKey(), ...said } = offer
    const audience = { to: did, aud: this.#relay.serverId() }
    return this.#say(
      signProposal({ ...said, type: "PROPOSAL", to: ref }, audience, this.#signing("PROPOSAL", key)),
    )
  }

  /** Takes a proposal. */
  accept(id: string, paymentCode?: string): Promise<DealEvent<"ACCEPT">> {
    return this.#answer({
      type: "ACCEPT",
      proposal_id: id,
      ...(paymentCode !== undefined && { payment_code: paymentCode }),
    })
  }

  /** Turns a proposal down. */
  reject(id: string, reason?: string): Promise<DealEvent<"REJECT">> {
    return this.#answer({ type: "REJECT", proposal_id: id, ...(reason !== undefined && { reason }) })
  }

  /** Says that an accepted proposal is carried out. */
  complete(id: string, proof?: string): Promise<DealEvent<"COMPLETE">> {
    return this.#answer({ type: "COMPLETE", proposal_id: id, ...(proof !== undefined && { proof }) })
  }

  /** Says that it is not, or not as agreed. */
  dispute(id: string, reason: string, { fault }: DisputeOptions = {}): Promise<DealEvent<"DISPUTE">> {
    return this.#answer({ type: "DISPUTE", proposal_id: id, reason, ...(fault !== undefined && { fault }) })
  }

  /** One's own proposals, made and received, as the relay has them: each verified. */
  async proposals({ id, since = 0 }: ProposalQuery = {}): Promise<Proposal[]> {
    const listed = id === undefined ? await this.#chains.fetchSince(since) : [await this.#chains.fetch(id)]
    return listed.map(({ deal, names }) => {
      const [proposal, ...steps] = deal.chain.map((statement) => {
        const agentId = agentIdOfDid(statement.from)
        return eventOf(deal, statement, Object.hasOwn(names, agentId) ? names[agentId] : undefined)
      })
      const state = stateAt(deal, this.#relay.clock.now())
      return { ...(proposal as DealEvent<"PROPOSAL">), state, steps }
    })
  }

  /**
   * What proves a deal to anybody.
   * @throws {ChatError} PROPOSAL_NOT_FOUND; PROPOSAL_STATE while nobody has said that it is completed, or disputed it
   */
  async receipt(id: string): Promise<Receipt> {
    const deal = await this.#newest(id)
    const receipt = receiptOf(deal)
    if (receipt !== undefined) return receipt
    throw new ChatError("PROPOSAL_STATE", `receipt: ${deal.id} is ${deal.state}`, {
      hint: "there is a receipt once one of the two has completed or disputed it",
    })
  }

  /**
   * Takes a statement the relay passed on.
   * @param aud - `server_id` of that relay
   * @returns what there is to tell; undefined for a step of one's own
   * @throws {ChatError} for one that must not be believed, and when the relay does not answer
   */
  async hear(message: ServerMessage<Verb>, aud: string): Promise<DealEvent | undefined> {
    const statement = readStatement(statementIn(message))
    const deal = await this.#chains.include(statement, aud)
    return statement.from === this.did ? undefined : eventOf(deal, statement, message.name)
  }

  /**
   * Until when, in milliseconds since the Unix epoch, the other party can answer what oneself proposed; undefined when
   * that is not what a deal waits for.
   * @param isFresh - ask the relay, even if the deal is known
   */
  async answerableUntil(id: string, isFresh = false): Promise<number | undefined> {
    const deal = isFresh ? (await this.#chains.fetch(id)).deal : await this.#chains.find(id)
    return deal.state === "pending" && partiesOf(deal)[0] === this.did ? expiryOf(deal) : undefined
  }

  async #answer<V extends AnswerDraft["type"]>(
    draft: AnswerDraft & { readonly type: V },
  ): Promise<DealEvent<V>> {
    const { type, proposal_id: id } = draft
    const key = randomKey()
    for (let tries = 1; ; tries++) {
      const deal = tries === 1 ? await this.#chains.find(id) : (await this.#chains.fetch(id)).deal
      try {
        const { statement } = signAnswer(deal, draft, this.#signing(type, key))
        return await this.#say(statement as Statement<V>)
      } catch (error) {
        if (!wasOutrun(error, tries)) throw error
        if (error.retryAfterMs !== undefined) await delay(this.#relay.clock, error.retryAfterMs)
      }
    }
  }

  async #say<V extends Verb>(statement: Statement<V>): Promise<DealEvent<V>> {
    const aud = this.#relay.serverId()
    const frame: Statement = statement
    const answer = await this.#relay.request(frame)
    const recorded = readStatement(statementIn(answer))
    // One signed before, under the same id, is the same act.
    if (recorded.id !== statement.id || recorded.type !== statement.type || recorded.from !== this.did) {
      throw new ChatError(
        "VERIFICATION_FAILED",
        `${statement.type}: the relay answered with another statement`,
      )
    }
    return eventOf(this.#chains.take(recorded, aud), recorded as Statement<V>, answer.name)
  }

  #signing(verb: Verb, key: string): Signing {
    const { identity, clock } = this.#relay
    return { keyPair: identity.keyPair, id: statementId(verb, identity.did, key), now: clock.now() }
  }

  async #newest(id: string): Promise<Deal> {
    try {
      return (await this.#chains.fetch(id)).deal
    } catch (error) {
      // Relays forget deals that ended; what was verified stays true.
      const known = this.#chains.get(id)
      if (known === undefined || !(error instanceof ChatError)) throw error
      return known
    }
  }

  /** A relay names the key of an agent; that it has not swapped it shows in the id, which is the key's hash. */
  async #didOf(to: AgentRef): Promise<string> {
    const { roster } = await this.#relay.request({ type: "LIST_AGENTS", agent: to })
    const isId = persistentIdPattern.test(to)
    const found = roster.find(({ id, name }) => id === to || (!isId && name === to.slice(1)))
    if (found === undefined) throw new ChatError("AGENT_NOT_FOUND", `to: ${to} is not known to this relay`)
    if (found.did === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", `to: ${to} has no key, and so cannot agree to anything`, {
        hint: "it gets one with: agentchat identity --generate",
      })
    }
    if (!isKeyOf(found, found.did)) {
      throw new ChatError(
        "VERIFICATION_FAILED",
        `to: the key the relay names for ${to} is not that of its id`,
      )
    }
    return found.did
  }
}

function isKeyOf({ id }: RosterEntry, did: string): boolean {
  try {
    return agentIdOfDid(did) === id
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

/** The relay, or this agent, knew less than the other. */
function wasOutrun(error: unknown, tries: number): error is ChatError {
  if (!(error instanceof ChatError)) return false
  return error.code === "STATEMENT_STALE" ? tries < mostTries : error.code === "PROPOSAL_STATE" && tries === 1
}

function eventOf<V extends Verb>(
  deal: Deal,
  statement: Statement<V>,
  name: string | undefined,
): DealEvent<V> {
  const said: Statement = statement
  const news = newsOf(said, {
    name: name ?? agentIdOfDid(said.from).slice(1),
    state: stateAfter(deal, said),
    msgId: statementMessageId(said),
  })
  // The members of a statement are those of its event; newsOf leaves out what only proves it.
  return news as unknown as DealEvent<V>
}

/** By then the deal may have gone on. */
function stateAfter({ chain }: Deal, { sig }: Statement): DealState {
  return dealOf(chain.slice(0, chain.findIndex((said) => said.sig === sig) + 1)).state
}

function randomKey(): string {
  return randomBytes(16).toString("base64url")
}
