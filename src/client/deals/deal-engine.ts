import { type Clock, delay } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import { advanceDeal, type Deal, hasStatement, openDeal, partiesOf } from "../../proposals/deal.js"
import {
  type AnswerDraft,
  type Signing,
  signAnswer,
  signProposal,
  statementId,
} from "../../proposals/draft.js"
import { agentIdOfDid, readStatement, statementIn, verifyStatement } from "../../proposals/statement.js"
import { ChatError, type ErrorCode, errorSpecs } from "../../protocol/errors.js"
import { type AgentRef, agentIdIn } from "../../protocol/names.js"
import type { ProposalEntry, RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import { proposalIdOf, type Verb } from "../../protocol/verbs.js"
import type { AnswerTo, RequestFrame } from "../pending.js"

/** Pages of LIST_PROPOSALS requested at most, in case a relay never ends the list. */
const maxPages = 1_000
const maxNameCharacters = 64
/** Milliseconds before a rate-limited request is repeated if the relay gives no time. */
const retryMs = 1_000
/** Errors of a statement that may only mean that an earlier statement did not arrive. */
const gapCodes: ReadonlySet<ErrorCode> = new Set(["PROPOSAL_NOT_FOUND", "PROPOSAL_STATE", "STATEMENT_STALE"])

export interface DealRelay {
  /** `server_id` of the relay that answers the next request. @throws {ChatError} UNREACHABLE */
  serverId(): string
  /** @throws {ChatError} the relay's refusal; TIMEOUT; UNREACHABLE */
  request<F extends RequestFrame>(frame: F): Promise<AnswerTo<F>>
}

export interface VerifiedStatement {
  readonly statement: Statement
  /** The deal; its chain ends with the statement if that is new. */
  readonly deal: Deal
  /** Nick of the signer; undefined if the relay does not name it. */
  readonly name: string | undefined
  /** False for one that was known. */
  readonly isNew: boolean
  /** The message that contained the statement; undefined for one from a list. */
  readonly message: ServerMessage<Verb> | undefined
}

/** The owner of an engine, which keeps its deals. */
export interface DealOwner {
  get(id: string): Deal | undefined
  /** Keeps a statement. Called for each new one, in the order of the chain, and for each message with a known one. */
  add(verified: VerifiedStatement): void
  /** Rejects a statement for reasons of the owner. @throws {ChatError} */
  check?(statement: Statement, message: ServerMessage<Verb> | undefined): void
  /**
   * Called for an invalid statement. If this throws, the request for the list that contained the statement rejects.
   * @param message - the message that contained it; undefined for one from a list
   */
  onInvalid(value: unknown, error: ChatError, message: ServerMessage<Verb> | undefined): void
  /** Called when the statements before this one cannot be fetched now. The relay will send the message again. */
  onDeferred(message: ServerMessage<Verb>, error: ChatError): void
}

export interface DealEngineOptions {
  readonly identity: Identity
  readonly clock: Clock
  readonly relay: DealRelay
}

/** A deal as a relay lists it, verified. */
interface ListedDeal {
  readonly deal: Deal
  /** Nicks of the parties by agent id. */
  readonly names: Readonly<Record<string, string>>
}

export interface SignedDraft {
  readonly statement: Statement
  readonly deal: Deal
  /** True if the deal contained the statement before, so that it need not be sent. */
  readonly isKnown: boolean
}

interface Arrival {
  readonly message: ServerMessage<Verb>
  readonly aud: string
}

/**
 * The deals of one agent. Verifies every statement itself, so that a relay can withhold a statement but not forge one,
 * fetches missing statements, and signs drafts as answers to the newest statement.
 */
export class DealEngine {
  readonly #identity: Identity
  /** did:keys that rotations have replaced. Deals made with them can be followed, but not signed any more. */
  readonly #earlierKeys: ReadonlySet<string>
  readonly #clock: Clock
  readonly #relay: DealRelay
  readonly #owner: DealOwner
  /** Messages that wait until the statements missing before an earlier one are fetched. */
  readonly #arrivals: Arrival[] = []
  #isFetching = false
  /** Deals of which the relay has a statement that the store does not have. */
  readonly #stale = new Set<string>()
  /** Counts the calls of {@link reset}: answers to older requests are discarded. */
  #generation = 0

  constructor({ identity, clock, relay }: DealEngineOptions, owner: DealOwner) {
    this.#identity = identity
    this.#earlierKeys = new Set(identity.rotations.map(({ from }) => from))
    this.#clock = clock
    this.#relay = relay
    this.#owner = owner
  }

  /** Takes a message with a statement. Messages are processed in the order of these calls. */
  receive(message: ServerMessage<Verb>, aud = this.#relay.serverId()): void {
    this.#arrivals.push({ message, aud })
    this.#processArrivals()
  }

  /** Discards messages and answers of a session that has ended. */
  reset(): void {
    this.#generation++
    this.#arrivals.length = 0
    this.#isFetching = false
  }

  /** Fetches the deal before the next answer is signed: the relay refused one as stale. */
  markStale(id: string): void {
    this.#stale.add(id)
  }

  /**
   * Verifies a statement and adds it to its deal.
   * @param aud - `server_id` of the relay that sent it
   * @returns the deal
   * @throws {ChatError} PROPOSAL_NOT_FOUND for an answer to an unknown proposal; VERIFICATION_FAILED, PROPOSAL_STATE,
   * NOT_A_PARTY, PROPOSAL_EXPIRED, STATEMENT_STALE or INVALID_MSG for one that is invalid
   */
  take(
    statement: Statement,
    aud: string,
    source: Partial<Pick<VerifiedStatement, "name" | "message">> = {},
  ): Deal {
    const { name, message } = source
    const id = proposalIdOf(statement)
    const known = this.#owner.get(id)
    this.#owner.check?.(statement, message)
    const isNew = known === undefined || !hasStatement(known, statement)
    const deal = isNew ? this.#advance(known, statement, aud) : known
    if (isNew || message !== undefined) this.#owner.add({ statement, deal, name, isNew, message })
    return deal
  }

  /** Requests a deal from the relay. @throws {ChatError} PROPOSAL_NOT_FOUND; the relay's refusal */
  async fetch(id: string): Promise<ListedDeal> {
    const { listed } = await this.#list({ proposal: id })
    const found = listed.find(({ deal }) => deal.id === id)
    if (found === undefined) throw notFound(id)
    this.#stale.delete(id)
    return found
  }

  /**
   * Requests all deals that changed at `since` or later, oldest change first.
   * @param since - milliseconds since the Unix epoch; all deals if undefined
   */
  async fetchSince(since?: number): Promise<ListedDeal[]> {
    const all = new Map<string, ListedDeal>()
    let from = since
    for (let page = 0; page < maxPages; page++) {
      const { listed, lastTs, more } = await this.#list(from === undefined ? {} : { since: from })
      for (const each of listed) all.set(each.deal.id, each)
      if (!more || lastTs <= (from ?? -1)) break
      from = lastTs
    }
    return [...all.values()]
  }

  /**
   * Signs a draft as the next statement of its deal.
   * @param key - unique per draft, and the same each time the draft is signed
   * @throws {ChatError} AGENT_NOT_FOUND, IDENTITY_REQUIRED, PROPOSAL_NOT_FOUND, PROPOSAL_STATE, PROPOSAL_EXPIRED,
   * NOT_A_PARTY, VERIFICATION_FAILED or INVALID_MSG if it is not possible; else the reason why the relay does not answer
   */
  async sign(draft: Draft, key: string): Promise<SignedDraft> {
    return draft.type === "PROPOSAL" ? this.#signProposal(draft, key) : this.#signAnswer(draft, key)
  }

  #processArrivals(): void {
    while (!this.#isFetching) {
      const arrival = this.#arrivals.shift()
      if (arrival === undefined) return
      this.#process(arrival)
    }
  }

  #process(arrival: Arrival): void {
    const { message, aud } = arrival
    const value = statementIn(message)
    try {
      const statement = readStatement(value)
      try {
        this.take(statement, aud, { message, name: message.name.slice(0, maxNameCharacters) })
      } catch (error) {
        if (!(error instanceof ChatError) || !gapCodes.has(error.code) || statement.type === "PROPOSAL")
          throw error
        void this.#fetchAndTake(arrival, statement)
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#owner.onInvalid(value, error, message)
    }
  }

  /** Takes a statement after fetching its deal: an earlier statement is missing, or the relay lies. */
  async #fetchAndTake(
    { message, aud }: Arrival,
    statement: Exclude<Statement, { type: "PROPOSAL" }>,
  ): Promise<void> {
    const generation = this.#generation
    this.#isFetching = true
    try {
      await this.#fetchPatiently(statement.proposal_id)
      if (this.#generation !== generation) return
      this.take(statement, aud, { message, name: message.name.slice(0, maxNameCharacters) })
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (this.#generation !== generation) return
      if (isTemporary(error)) this.#owner.onDeferred(message, error)
      else this.#owner.onInvalid(statementIn(message), error, message)
    } finally {
      if (this.#generation === generation) this.#isFetching = false
    }
    this.#processArrivals()
  }

  async #fetchPatiently(id: string): Promise<void> {
    for (;;) {
      try {
        await this.fetch(id)
        return
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "RATE_LIMITED") throw error
        await delay(this.#clock, error.retryAfterMs ?? retryMs)
      }
    }
  }

  #advance(deal: Deal | undefined, statement: Statement, aud: string): Deal {
    const { type, from, to } = statement
    if (![from, to].some((party) => party === this.#identity.did || this.#earlierKeys.has(party))) {
      throw new ChatError("NOT_A_PARTY", `${type}: you are not a party of this deal`)
    }
    if (statement.aud !== aud) {
      throw new ChatError("VERIFICATION_FAILED", `${type}.aud: must be this server, ${aud}`)
    }
    verifyStatement(statement)
    if (deal !== undefined) return advanceDeal(deal, statement)
    if (type !== "PROPOSAL") throw notFound(statement.proposal_id)
    return openDeal(statement)
  }

  async #list(query: {
    proposal?: string
    since?: number
  }): Promise<{ listed: ListedDeal[]; lastTs: number; more: boolean }> {
    const generation = this.#generation
    const aud = this.#relay.serverId()
    const { list, more = false } = await this.#relay.request({ type: "LIST_PROPOSALS", ...query })
    if (this.#generation !== generation) throw new ChatError("UNREACHABLE", "server: the session has ended")
    const times = list.map((entry) => this.#takeEntry(entry, aud))
    const listed = list.flatMap(({ id, names }) => {
      const deal = this.#owner.get(id)
      return deal === undefined ? [] : [{ deal, names }]
    })
    return { listed, lastTs: Math.max(-1, ...times), more }
  }

  /** Takes the valid start of a listed chain. @returns `ts` of its last statement */
  #takeEntry({ statements, names }: ProposalEntry, aud: string): number {
    let lastTs = -1
    for (const value of statements as readonly unknown[]) {
      try {
        const statement = readStatement(value)
        lastTs = statement.ts
        this.take(statement, aud, { name: nameIn(names, agentIdOfDid(statement.from)) })
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        this.#owner.onInvalid(value, error, undefined)
        break
      }
    }
    return lastTs
  }

  async #signProposal(draft: Draft<"PROPOSAL">, key: string): Promise<SignedDraft> {
    const signing = this.#signing("PROPOSAL", key)
    const known = this.#owner.get(signing.id)
    if (known !== undefined) return { statement: known.chain[0], deal: known, isKnown: true }
    const to = await this.#didOf(draft.to)
    const statement = signProposal(draft, { to, aud: this.#relay.serverId() }, signing)
    return { statement, deal: openDeal(statement), isKnown: false }
  }

  async #signAnswer(draft: AnswerDraft, key: string): Promise<SignedDraft> {
    const { proposal_id: id } = draft
    // The writer chooses the key, so drafts for two deals may have the same one. They are different statements.
    const signing = this.#signing(draft.type, `${id} ${key}`)
    const known = this.#stale.has(id) ? undefined : this.#owner.get(id)
    if (known === undefined) return this.#answer((await this.fetch(id)).deal, draft, signing)
    try {
      return this.#answer(known, draft, signing)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "PROPOSAL_STATE") throw error
      const { deal } = await this.fetch(id).catch((failure: unknown) => {
        // Relays drop closed deals.
        throw failure instanceof ChatError && failure.code === "PROPOSAL_NOT_FOUND" ? error : failure
      })
      return this.#answer(deal, draft, signing)
    }
  }

  #answer(deal: Deal, draft: AnswerDraft, signing: Signing): SignedDraft {
    const chain: readonly Statement[] = deal.chain
    const known = chain.find(({ id, from }) => id === signing.id && from === this.#identity.did)
    if (known !== undefined) return { statement: known, deal, isKnown: true }
    if (partiesOf(deal).some((party) => this.#earlierKeys.has(party))) {
      throw new ChatError(
        "NOT_A_PARTY",
        `${draft.type}: ${deal.id} was made with a key that you have replaced`,
        {
          hint: "only that key could sign for it; agree on the rest in a new proposal",
        },
      )
    }
    if (deal.chain[0].aud !== this.#relay.serverId()) {
      throw new ChatError("PROPOSAL_NOT_FOUND", `proposal_id: ${deal.id} was made on another relay`, {
        hint: "connect to that relay; one that lost its data counts as another one",
      })
    }
    return { ...signAnswer(deal, draft, signing), isKnown: false }
  }

  #signing(verb: Verb, key: string): Signing {
    const { keyPair, did } = this.#identity
    return { keyPair, id: statementId(verb, did, key), now: this.#clock.now() }
  }

  /** Looks up the key of an agent. A relay cannot swap the key of an agent id, which is its hash. */
  async #didOf(to: AgentRef): Promise<string> {
    const { roster } = await this.#relay.request({ type: "LIST_AGENTS", agent: to })
    const [entry] = roster
    if (entry === undefined) throw new ChatError("AGENT_NOT_FOUND", `to: ${to} is not known to this relay`)
    const { id, name, did } = entry
    if (did === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", `to: ${to} has no identity and cannot sign`, {
        hint: "it gets one with: agentchat identity --generate; every daemon without --ephemeral has one",
      })
    }
    const asked = agentIdIn(to)
    const isRequested = asked === undefined ? name.toLowerCase() === to.slice(1).toLowerCase() : id === asked
    if (!isRequested || !isKeyOf(entry, did)) {
      throw new ChatError("VERIFICATION_FAILED", `to: the relay's key for ${to} does not match its agent id`)
    }
    return did
  }
}

/** Reports whether the same request may succeed later; a stale statement stays stale. */
function isTemporary({ code }: ChatError): boolean {
  return errorSpecs[code].retry && code !== "STATEMENT_STALE"
}

function isKeyOf({ id }: RosterEntry, did: string): boolean {
  try {
    return agentIdOfDid(did) === id
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

function nameIn(names: Readonly<Record<string, unknown>>, id: string): string | undefined {
  const name = Object.hasOwn(names, id) ? names[id] : undefined
  return typeof name === "string" ? name.slice(0, maxNameCharacters) : undefined
}

function notFound(id: string): ChatError {
  return new ChatError("PROPOSAL_NOT_FOUND", `proposal_id: ${id} is not one of your proposals`, {
    hint: "list yours: agentchat proposals",
  })
}
