import type { Backbone } from "../../backbone/backbone.js"
import { KeyedMutex } from "../../base/keyed-mutex.js"
import type { DealStep } from "../../guards/rules/deals.js"
import { type Deal, partiesOf, stateAfter, stateAt } from "../../proposals/deal.js"
import { agentIdOfDid, statementMessageId } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { mailEntryId } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { ProposalEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import { proposalIdOf, type Verb } from "../../protocol/verbs.js"
import type { Mailboxes } from "../delivery/mailboxes.js"
import type { GuardService } from "../guards/guard-service.js"
import type { Agent } from "../sessions/agent.js"
import { type DealRecord, DealTable, type DealTableOptions } from "./deal-table.js"
import {
  advanceDealNow,
  checkClock,
  checkSameTime,
  checkSpace,
  findRepeated,
  openDealNow,
  readOwnStatement,
} from "./deal-validation.js"

/** The fields of an agent that the service uses. */
type DealAgent = Pick<Agent, "id" | "did" | "name" | "markAnswered"> & Partial<Pick<Agent, "formerly">>

export interface DealServiceOptions extends DealTableOptions {
  readonly mailboxes: Pick<Mailboxes, "post">
  readonly guards: Pick<GuardService, "admitProposal" | "noteStep" | "refill">
}

/**
 * Records the statements of deals: checks that each is signed by its sender and follows from the last one, stores it
 * and sends it to both parties. Relays on one backbone share the deals; compare-and-set decides which of two
 * simultaneous statements is first.
 */
export class DealService {
  readonly #deals: DealTable
  readonly #backbone: Pick<Backbone, "id">
  readonly #options: DealServiceOptions
  /** Sends the statements of a deal in order. */
  readonly #mutex = new KeyedMutex()

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Pick<Backbone, "table" | "id">,
    options: DealServiceOptions,
  ): Promise<DealService> {
    return new DealService(await DealTable.open(backbone, options), backbone, options)
  }

  private constructor(deals: DealTable, backbone: Pick<Backbone, "id">, options: DealServiceOptions) {
    this.#deals = deals
    this.#backbone = backbone
    this.#options = options
  }

  /** Returns whether an agent is a party of a deal. */
  isParty(id: AgentId): boolean {
    return this.#deals.isParty(id)
  }

  close(): void {
    this.#deals.close()
  }

  /**
   * Records a statement and sends it to both parties. A statement that is recorded already is only sent again.
   * @returns the message that both parties get
   * @throws {ChatError} IDENTITY_REQUIRED, INVALID_MSG, VERIFICATION_FAILED, AGENT_NOT_FOUND, LIMIT_REACHED,
   * RATE_LIMITED, GUARDED, MAILBOX_FULL, PROPOSAL_NOT_FOUND, PROPOSAL_STATE, PROPOSAL_EXPIRED, NOT_A_PARTY,
   * STATEMENT_STALE; UNAVAILABLE, after which it may be recorded or not: send it again
   */
  async record(agent: DealAgent, frame: { readonly type: Verb }): Promise<ServerMessage<Verb>> {
    const { did } = agent
    if (did === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", `${frame.type}: an agent without an identity cannot sign`, {
        hint: "connect with an identity: agentchat identity --generate",
      })
    }
    const statement = readOwnStatement(frame, did, this.#backbone.id)
    const id = proposalIdOf(statement)
    return this.#mutex.run(id, () => this.#record(agent, statement, id))
  }

  /**
   * Lists one deal of an agent, or those that changed at `since` or later, oldest change first.
   * @param query - `since`: milliseconds since the Unix epoch; `all`: also the deals of other agents
   * @throws {ChatError} PROPOSAL_NOT_FOUND, UNAVAILABLE
   */
  async list(
    agent: DealAgent,
    { proposal, since = 0, all: isAll }: DealQuery,
  ): Promise<Omit<ServerMessage<"PROPOSALS">, "re">> {
    if (proposal !== undefined) {
      const record = await this.#deals.get(proposal)
      if (record === undefined || !(isAll || isParty(record.deal, agent)))
        throw notFound("proposal", proposal)
      return { type: "PROPOSALS", list: [this.#format(record)] }
    }
    const { records, more } = await this.#deals.list(
      isAll ? undefined : [agent.id, ...(agent.formerly ?? [])],
      since,
    )
    const list = records.map((record) => this.#format(record))
    return { type: "PROPOSALS", list, ...(more && { more }) }
  }

  async #record(agent: DealAgent, statement: Statement, id: string): Promise<ServerMessage<Verb>> {
    const { result, revision } = await this.#deals.update(id, statement.type, (before) => {
      const repeated = before && findRepeated(before.deal, statement)
      if (before !== undefined && repeated !== undefined) {
        return { result: { message: messageOf(before, repeated), isNew: false, isFirst: false } }
      }
      const record = this.#advance(agent, statement, before)
      const message = messageOf(record, statement)
      return { result: { message, isNew: true, isFirst: before === undefined }, record }
    })
    const { message, isNew, isFirst } = result
    if (isNew) this.#note(agent, message)
    const isDelivered = await this.#send(message)
    if (isNew && isFirst && !isDelivered && (await this.#deals.delete(id, revision))) {
      throw new ChatError("MAILBOX_FULL", "PROPOSAL.to: the mailbox of the recipient is full", {
        retryAfterMs: 60_000,
      })
    }
    return message
  }

  #note(agent: DealAgent, message: ServerMessage<Verb>): void {
    const { guards, clock } = this.#options
    agent.markAnswered(clock.now())
    const step = guardStepOf(message)
    if (step !== undefined) guards.noteStep(step)
    if (message.type === "COMPLETE") guards.refill([agent.id, agentIdOfDid(message.to)])
  }

  /** Returns the deal with a new statement. @throws {ChatError} if the statement is not legal now */
  #advance(agent: DealAgent, statement: Statement, before: DealRecord | undefined): DealRecord {
    const { clock, limits, guards } = this.#options
    const now = clock.now()
    checkClock(statement, now, limits)
    if (statement.type !== "PROPOSAL" && (before === undefined || !isParty(before.deal, agent))) {
      throw notFound(`${statement.type}.proposal_id`, statement.proposal_id)
    }
    const other = agentIdOfDid(statement.to)
    const deal =
      before === undefined
        ? openDealNow(statement as Statement<"PROPOSAL">, now, limits)
        : advanceDealNow(before.deal, statement, now)
    if (before === undefined) checkSpace(this.#deals, agent.id, limits)
    checkSameTime(this.#deals, [agent.id, other], statement)
    if (before === undefined) guards.admitProposal({ from: agent.id, to: other })
    return { deal, names: { ...before?.names, [agent.id]: agent.name } }
  }

  /**
   * Sends a statement to both parties, the other one first. A full mailbox does not block the deal: its owner finds the
   * statement with LIST_PROPOSALS.
   * @returns false if the mailbox of the other party is full
   */
  async #send(message: ServerMessage<Verb>): Promise<boolean> {
    const { msg_id, from, to } = message
    const text = JSON.stringify(message)
    const isDelivered = await this.#post(agentIdOfDid(to), msg_id, text)
    await this.#post(agentIdOfDid(from), msg_id, text)
    return isDelivered
  }

  /** @returns false if the mailbox is full */
  async #post(party: AgentId, messageId: string, text: string): Promise<boolean> {
    const { mailboxes, log } = this.#options
    try {
      await mailboxes.post(party, mailEntryId.statement(messageId), text)
      return true
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "MAILBOX_FULL") throw error
      log(`${messageId}: not delivered, the mailbox of ${party} is full`)
      return false
    }
  }

  #format({ deal, names }: DealRecord): ProposalEntry {
    return { id: deal.id, state: stateAt(deal, this.#options.clock.now()), statements: deal.chain, names }
  }
}

/** Selects the deals to list. */
interface DealQuery {
  readonly proposal: string | undefined
  readonly since: number | undefined
  readonly all: boolean
}

/** Returns the input of the guards for a statement; undefined if they do not count its verb. */
export function guardStepOf(message: ServerMessage<Verb>): DealStep | undefined {
  const { type: verb, msg_id: id, from, to } = message
  if (verb !== "PROPOSAL" && verb !== "REJECT" && verb !== "COMPLETE") return undefined
  return { id, verb, deal: proposalIdOf(message), from: agentIdOfDid(from), to: agentIdOfDid(to) }
}

function messageOf({ deal, names }: DealRecord, statement: Statement): ServerMessage<Verb> {
  const { type, ...fields } = statement
  const name = names[agentIdOfDid(statement.from)] ?? ""
  const state = stateAfter(deal, statement)
  return { type, msg_id: statementMessageId(statement), name, state, ...fields } as ServerMessage<Verb>
}

/** Reports whether an agent is a party, with its key or one that this has replaced. */
function isParty(deal: Deal, { did, formerly = [] }: DealAgent): boolean {
  return partiesOf(deal).some((party) => party === did || formerly.includes(agentIdOfDid(party)))
}

function notFound(field: string, id: string): ChatError {
  return new ChatError("PROPOSAL_NOT_FOUND", `${field}: ${id} is not one of your proposals`)
}
