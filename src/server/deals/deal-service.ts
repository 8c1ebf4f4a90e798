import type { Backbone, Subscription, Table } from "../../backbone/backbone.js"
import { tooManyChanges, updateRow } from "../../backbone/update-row.js"
import type { Clock } from "../../base/clock.js"
import { type Deal, dealOf, partiesOf, stateAt } from "../../proposals/deal.js"
import { agentIdOfDid, statementMessageId } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { mailEntryId } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { ProposalEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import { proposalIdOf, type Verb } from "../../protocol/verbs.js"
import type { GuardService } from "../guards/guard-service.js"
import type { Agent } from "../sessions/agent.js"
import { DealExpiry } from "./deal-expiry.js"
import { DealIndex } from "./deal-index.js"
import { type DealEntry, type DealRecord, formatDealRecord, parseDealRecord } from "./deal-record.js"
import { stepOf } from "./deal-steps.js"
import {
  advanceDealNow,
  checkMoment,
  checkRoom,
  checkSkew,
  findAct,
  openDealNow,
  readOwnStatement,
} from "./deal-validation.js"
import { KeyedMutex } from "./keyed-mutex.js"

/** Attempts to read a page of deals while others change them. */
const maxTries = 20
/** Characters of rows in one answer, beyond which no more are added. */
const pageCharacters = 256 * 1024

/** An agent, as far as a desk looks at it. */
type Signatory = Pick<Agent, "id" | "did" | "name" | "markAnswered">

/** What a desk needs of its house. */
interface DealPorts {
  /** Whether the relay, or another one of the same store, knows an agent, online or not. @throws {ChatError} UNAVAILABLE */
  knows(id: AgentId): boolean | Promise<boolean>
  /**
   * Keeps a message for an agent until that has it; one of an id that was kept before is not kept again.
   * @throws {ChatError} MAILBOX_FULL, UNAVAILABLE
   */
  post(to: AgentId, id: string, text: string): Promise<unknown>
  readonly guards: Pick<GuardService, "admitProposal" | "noteStep" | "refill">
  readonly log: (line: string) => void
}

/** One of an agent's own proposals, or those that changed since a time. */
interface Wanted {
  readonly proposal?: string | undefined
  /** Milliseconds since the Unix epoch. */
  readonly since?: number | undefined
}

/** What LIST_PROPOSALS is answered. */
type Proposals = Omit<ServerMessage<"PROPOSALS">, "re">

/** What a desk is made of. */
interface DeskOptions {
  readonly limits: Limits
  readonly clock: Clock
}

/**
 * Deals: takes each statement that is signed by its sender and follows from the last one, keeps it, and has both
 * parties told. Only compare-and-set decides what comes first, so any number of relays may share the table.
 */
export class DealService {
  readonly #table: Table
  readonly #aud: string
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #ports: DealPorts
  readonly #index: DealIndex
  readonly #sweep: DealExpiry
  readonly #endWatch: Subscription
  /** Parties are told of the steps of a deal in order. */
  readonly #turns = new KeyedMutex()

  private constructor(
    { table, index, endWatch, aud }: { table: Table; index: DealIndex; endWatch: Subscription; aud: string },
    { limits, clock }: DeskOptions,
    ports: DealPorts,
  ) {
    this.#table = table
    this.#index = index
    this.#endWatch = endWatch
    this.#aud = aud
    this.#limits = limits
    this.#clock = clock
    this.#ports = ports
    this.#sweep = new DealExpiry({ table, index, clock, limits, log: ports.log })
  }

  /** Takes in what the engine keeps. @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Pick<Backbone, "table" | "id">,
    options: DeskOptions,
    ports: DealPorts,
  ): Promise<DealService> {
    const table = await backbone.table("proposal")
    const index = new DealIndex()
    const endWatch = await table.watch((change) => index.take(change))
    return new DealService({ table, index, endWatch, aud: backbone.id }, options, ports)
  }

  /** Takes nothing away any more; what stands stands. */
  close(): void {
    this.#sweep.close()
    this.#endWatch()
  }

  /**
   * Takes a statement, keeps it, and tells both parties. One that is known changes nothing and is told again.
   * @returns what both parties are told
   * @throws {ChatError} IDENTITY_REQUIRED, INVALID_MSG, VERIFICATION_FAILED, AGENT_NOT_FOUND, LIMIT_REACHED,
   * RATE_LIMITED, GUARDED, MAILBOX_FULL, PROPOSAL_NOT_FOUND, PROPOSAL_STATE, PROPOSAL_EXPIRED, NOT_A_PARTY,
   * STATEMENT_STALE; after UNAVAILABLE it may or may not stand: send it again
   */
  async say(agent: Signatory, frame: { readonly type: Verb }): Promise<ServerMessage<Verb>> {
    const { did } = agent
    if (did === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", `${frame.type}: who has no key cannot sign`, {
        hint: "connect with an identity: agentchat identity --generate",
      })
    }
    const statement = readOwnStatement(frame, did, this.#aud)
    const id = proposalIdOf(statement)
    return this.#turns.take(id, () => this.#take(agent, statement, id))
  }

  /**
   * Deals of an agent, oldest change first.
   * @throws {ChatError} PROPOSAL_NOT_FOUND, UNAVAILABLE
   */
  async list(agent: Signatory, { proposal, since = 0 }: Wanted): Promise<Proposals> {
    if (proposal !== undefined) {
      const [, record] = await this.#read(proposal)
      if (record === undefined || !isParty(record.deal, agent)) throw notFound("proposal", proposal)
      return { type: "PROPOSALS", list: [this.#format(record)] }
    }
    for (let tries = 0; tries < maxTries; tries++) {
      const { entries, more } = pageOf(this.#index.changesOf(agent.id, since))
      const records = await Promise.all(entries.map((entry) => this.#readAt(entry)))
      if (!records.every((record) => record !== undefined)) continue
      const list = records.map((record) => this.#format(record))
      return { type: "PROPOSALS", list, ...(more && { more }) }
    }
    throw tooManyChanges("LIST_PROPOSALS")
  }

  async #take(agent: Signatory, statement: Statement, id: string): Promise<ServerMessage<Verb>> {
    const { result, revision } = await updateRow(
      this.#table,
      id,
      async (row) => {
        if (row !== undefined) this.#index.take({ key: id, ...row })
        const before = row && parseDealRecord(row.value)
        const known = before === undefined ? undefined : findAct(before.deal, statement)
        if (before !== undefined && known !== undefined) {
          return { result: { record: before, known, isFirst: false, value: "" } }
        }
        const record = await this.#next(agent, statement, before)
        const value = formatDealRecord(record)
        return { result: { record, known, isFirst: before === undefined, value }, value }
      },
      { what: statement.type },
    )
    const { record, known, isFirst, value } = result
    const told = relayed(record, known ?? statement)
    if (known !== undefined) {
      await this.#post(told)
      return told
    }
    this.#index.take({ key: id, value, revision })
    agent.markAnswered(this.#clock.now())
    const step = stepOf(statement, told.msg_id)
    const { guards } = this.#ports
    if (step !== undefined) guards.noteStep(step)
    if (statement.type === "COMPLETE") guards.refill([agent.id, agentIdOfDid(statement.to)])
    const isTold = await this.#post(told)
    if (!isTold && isFirst && (await this.#takeBack(id, revision))) throw fullError()
    return told
  }

  /** The deal with a statement that is not known yet. @throws {ChatError} when it cannot be said now */
  async #next(agent: Signatory, statement: Statement, record: DealRecord | undefined): Promise<DealRecord> {
    const now = this.#clock.now()
    checkSkew(statement, now, this.#limits)
    if (statement.type !== "PROPOSAL" && (record === undefined || !isParty(record.deal, agent))) {
      throw notFound(`${statement.type}.proposal_id`, statement.proposal_id)
    }
    const other = agentIdOfDid(statement.to)
    if (record === undefined && !(await this.#ports.knows(other))) {
      throw new ChatError("AGENT_NOT_FOUND", `${statement.type}.to: ${other} is not known to this relay`)
    }
    const deal =
      record === undefined
        ? openDealNow(statement as Statement<"PROPOSAL">, now, this.#limits)
        : advanceDealNow(record.deal, statement, now)
    if (record === undefined) checkRoom(this.#index, agent.id, this.#limits)
    checkMoment(this.#index, [agent.id, other], statement)
    if (record === undefined) this.#ports.guards.admitProposal({ from: agent.id, to: other })
    return { deal, names: { ...record?.names, [agent.id]: agent.name } }
  }

  /** The row of a deal: its revision, 0 when there is none, and what is in it. */
  async #read(id: string): Promise<[revision: number, record: DealRecord | undefined]> {
    const row = await this.#table.get(id)
    if (row === undefined) return [0, undefined]
    this.#index.take(row)
    return [row.revision, parseDealRecord(row.value)]
  }

  /** The record of a deal that is as it was told, else undefined. */
  async #readAt({ id, revision }: DealEntry): Promise<DealRecord | undefined> {
    const [found, record] = await this.#read(id)
    if (found === 0) this.#index.take({ key: id, value: undefined, revision })
    return found === revision ? record : undefined
  }

  /**
   * Has both parties told, the other one first. Who does not fetch its mail does not keep the other from a step: it
   * finds what it missed where proposals are listed.
   * @returns whether the other has room for it
   */
  async #post(told: ServerMessage<Verb>): Promise<boolean> {
    const { msg_id, from, to } = told
    const [other, author] = [agentIdOfDid(to), agentIdOfDid(from)]
    const text = JSON.stringify(told)
    const post = async (party: AgentId) => {
      try {
        await this.#ports.post(party, mailEntryId.statement(msg_id), text)
        return true
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "MAILBOX_FULL") throw error
        this.#ports.log(`${msg_id} is not told: the mailbox of ${party} is full`)
        return false
      }
    }
    const isTold = await post(other)
    await post(author)
    return isTold
  }

  /** Takes a proposal back that nobody was told of. @returns false when it was answered nevertheless */
  async #takeBack(id: string, revision: number): Promise<boolean> {
    const isGone = await this.#table.delete(id, revision)
    if (isGone) this.#index.take({ key: id, value: undefined, revision })
    return isGone
  }

  #format({ deal, names }: DealRecord): ProposalEntry {
    return { id: deal.id, state: stateAt(deal, this.#clock.now()), statements: deal.chain, names }
  }
}

/** A statement of a deal as both parties are told of it. */
function relayed({ deal, names }: DealRecord, statement: Statement): ServerMessage<Verb> {
  const { type, ...said } = statement
  const { state } = dealOf(deal.chain.slice(0, deal.chain.indexOf(statement) + 1))
  const name = names[agentIdOfDid(statement.from)] ?? ""
  return { type, msg_id: statementMessageId(statement), name, state, ...said } as ServerMessage<Verb>
}

function isParty(deal: Deal, { did }: Signatory): boolean {
  return partiesOf(deal).some((party) => party === did)
}

/** As many as go into one answer, beyond those of the first time: who asks on does so from the last time on. */
function pageOf(moments: readonly (readonly DealEntry[])[]): { entries: DealEntry[]; more: boolean } {
  const entries: DealEntry[] = []
  let characters = 0
  for (const [index, moment] of moments.entries()) {
    if (index > 1 && characters > pageCharacters) return { entries, more: true }
    entries.push(...moment)
    for (const entry of moment) characters += entry.characters
  }
  return { entries, more: false }
}

function notFound(field: string, id: string): ChatError {
  return new ChatError("PROPOSAL_NOT_FOUND", `${field}: ${id} is no proposal of yours`)
}

function fullError(): ChatError {
  return new ChatError("MAILBOX_FULL", "PROPOSAL.to: the recipient has not fetched its waiting messages", {
    retryAfterMs: 60_000,
  })
}
