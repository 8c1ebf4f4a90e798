import { hash } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import type { Connection } from "../../client/connection.js"
import type { Identity } from "../../identity/identity-file.js"
import { openDeal } from "../../proposals/deal.js"
import { DealBook } from "../../proposals/deal-book.js"
import { statementIn, statementMessageId } from "../../proposals/deal-news.js"
import { agentIdOfDid, readStatement } from "../../proposals/statement.js"
import { ChatError, errorSpecs } from "../../protocol/errors.js"
import type { ProposalEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import type { DaemonPaths } from "../files/paths.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import { DealRecords, type RecordEvents, type Step } from "./deal-records.js"
import { DealSigner, type Signed } from "./deal-signer.js"
import { isOver } from "./proposals-file.js"

/** How far the clocks of two parties may lie apart, twice: what was said later may bear an earlier time. */
const overlapMs = 600_000
/** Pages of PROPOSALS asked for at most; a relay that never ends them is not followed. */
const mostPages = 1_000
/** Statements refused that are told in the inbox; a relay may make up as many as it likes. */
const mostNotices = 100
const longestName = 64
/** What may come of a statement that was missed. */
const gaps: ReadonlySet<string> = new Set(["PROPOSAL_NOT_FOUND", "STATEMENT_STALE", "PROPOSAL_STATE"])

type Session = Pick<Connection, "request" | "welcome">

/** What deals tell their daemon. */
export interface DealEvents extends RecordEvents {
  /** A statement, whose deal is in `state` now, is verified and on disk. */
  onTaken(message: ServerMessage<Verb>): void
  /** What the relay said in answer to a statement of ours is not to be believed. */
  onAnswerRefused(re: string, error: ChatError): void
  readonly log: (line: string) => void
}

/** What the deals of an agent are made of. */
export interface DealOptions {
  readonly paths: Pick<DaemonPaths, "proposals" | "receipts">
  readonly identity: Identity
  readonly clock: Clock
  readonly memory: DaemonMemory
}

/**
 * The deals one agent is a party of. Each statement a relay passes on is verified, put down and told; one that must
 * not be believed leaves the deal as it is, and one line in the inbox.
 */
export class Deals {
  readonly #self: string
  readonly #clock: Clock
  readonly #events: DealEvents
  readonly #book: DealBook
  readonly #records: DealRecords
  readonly #signer: DealSigner
  #session: Session | undefined
  /** Came while the relay was asked for what was missed before it. */
  readonly #waiting: ServerMessage<Verb>[] = []
  #isAsking = false
  #synced: Promise<void> = Promise.resolve()
  #notices = 0

  /** @throws {ChatError} FILE_FAILED when proposals.jsonl cannot be read */
  constructor({ paths, identity, clock, memory }: DealOptions, events: DealEvents) {
    this.#self = identity.did
    this.#clock = clock
    this.#events = events
    this.#book = new DealBook(identity.keyPair.publicKey)
    const { records, deals } = DealRecords.open(paths, identity.did, { clock, memory }, events)
    this.#records = records
    for (const { deal } of deals) this.#book.restore(deal.chain)
    this.#signer = new DealSigner({
      identity,
      book: this.#book,
      clock,
      fetch: (proposalId, session) => this.#fetch(proposalId, session),
    })
  }

  /** A session began: what was missed is asked for. */
  attach(session: Session): void {
    this.#session = session
    this.#records.flush()
    this.#synced = this.#sync(session)
  }

  /** The session is gone. */
  detach(): void {
    this.#session = undefined
    this.#waiting.length = 0
  }

  /** The daemon's look once a second: tries again what the disk refused. */
  tick(): void {
    this.#records.flush()
  }

  /** See {@link DealRecords.onDurable}. */
  onDurable(lineIds: readonly string[]): void {
    this.#records.onDurable(lineIds)
  }

  /** The daemon stops. */
  close(): void {
    this.#records.close()
  }

  /** A relay passed a statement on, perhaps in answer to ours. */
  receive(message: ServerMessage<Verb>): void {
    this.#waiting.push(message)
    this.#takeNext()
  }

  /** Makes a statement of a draft. @param key - the id of its line @throws {ChatError} as {@link DealSigner.sign} */
  async sign(draft: Draft, key: string): Promise<Signed> {
    await this.#synced
    this.#records.requireSafe()
    if (this.#session === undefined) throw new ChatError("UNREACHABLE", "server: there is no session")
    return this.#signer.sign(draft, key, this.#session)
  }

  /** The relay refused an answer to this proposal because the other party said something first. */
  distrust(proposalId: string): void {
    this.#signer.distrust(proposalId)
  }

  /** Takes what came in the order in which it came. */
  #takeNext(): void {
    while (!this.#isAsking && this.#session !== undefined) {
      const message = this.#waiting.shift()
      if (message === undefined) return
      this.#take(message, this.#session)
    }
  }

  #take(message: ServerMessage<Verb>, session: Session): void {
    try {
      const statement = this.#read(message)
      try {
        this.#record(message, this.#believe(statement, session))
      } catch (error) {
        if (!(error instanceof ChatError) || !gaps.has(error.code) || statement.type === "PROPOSAL")
          throw error
        void this.#takeLater(message, statement, error, session)
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#refuseMessage(message, error)
    }
  }

  /** Something was missed before this statement, or it is a lie: the relay is asked for the whole chain. */
  async #takeLater(
    message: ServerMessage<Verb>,
    statement: Exclude<Statement, { type: "PROPOSAL" }>,
    reason: ChatError,
    session: Session,
  ): Promise<void> {
    this.#isAsking = true
    try {
      await this.#fetch(statement.proposal_id, session)
      if (this.#session === session) this.#record(message, this.#believe(statement, session))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      // Where the relay could not be asked the statement is not confirmed, and so comes again.
      const isLater = errorSpecs[error.code].retry && error.code !== "STATEMENT_STALE"
      if (this.#session !== session) return
      if (!isLater) this.#refuseMessage(message, reason)
      // A line that waits for this answer is said again; others wait behind it.
      else if (message.re !== undefined) this.#events.onAnswerRefused(message.re, error)
    } finally {
      this.#isAsking = false
    }
    this.#takeNext()
  }

  #record(message: ServerMessage<Verb>, step: Omit<Step, "name">): void {
    this.#records.add({
      ...step,
      name: message.name.slice(0, longestName),
      confirms: message.msg_id,
      onSafe: () => this.#events.onTaken({ ...message, state: step.deal.state }),
    })
  }

  #refuseMessage(message: ServerMessage<Verb>, error: ChatError): void {
    this.#refuse(statementIn(message), error, message.msg_id)
    if (message.re !== undefined) this.#events.onAnswerRefused(message.re, error)
  }

  #read(message: ServerMessage<Verb>): Statement {
    const statement = readStatement(statementIn(message))
    if (message.msg_id !== statementMessageId(statement)) {
      throw new ChatError("VERIFICATION_FAILED", `${statement.type}.msg_id: is not that of its author`)
    }
    // Whoever else signs chooses the id of what it says, and could so pass for the relay's answer to a line.
    const isAnswer = message.re === statement.id && statement.from === this.#self
    if (message.re !== undefined && !isAnswer) {
      throw new ChatError("VERIFICATION_FAILED", `${statement.type}.re: answers another statement`)
    }
    return statement
  }

  #believe(statement: Statement, { welcome }: Session): Omit<Step, "name"> {
    if (statement.type === "PROPOSAL" && this.#book.get(statement.id) === undefined) {
      if (isOver(openDeal(statement), this.#clock.now())) {
        throw new ChatError("PROPOSAL_EXPIRED", "PROPOSAL.ts: it was over long ago")
      }
    }
    const { deal, isNew } = this.#book.take(statement, welcome.server_id)
    return { statement, deal, isNew }
  }

  async #fetch(proposalId: string, session: Session): Promise<void> {
    const { list } = await session.request({ type: "LIST_PROPOSALS", proposal: proposalId })
    for (const entry of list) if (entry.id === proposalId) this.#takeEntry(entry, session)
  }

  /** Asks for what happened since the last statement that is known. */
  async #sync(session: Session): Promise<void> {
    try {
      let since = this.#newest(session)
      for (let page = 0; page < mostPages; page++) {
        const request = { type: "LIST_PROPOSALS", ...(since === undefined ? {} : { since }) } as const
        const { list, more } = await session.request(request)
        if (this.#session !== session) return
        const times = list.map((entry) => this.#takeEntry(entry, session))
        const last = Math.max(-1, ...times)
        if (more !== true || last <= (since ?? -1)) return
        since = last
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`proposals: not listed: ${error.code} ${error.message}`)
    }
  }

  #newest({ welcome }: Session): number | undefined {
    const times = this.#book
      .list()
      .filter(({ chain: [proposal] }) => proposal.aud === welcome.server_id)
      .map(({ chain }) => chain.at(-1)?.ts ?? 0)
    if (times.length === 0) return undefined
    // A time that is yet to come, should somebody have said one, would hide all that happens until then.
    const newest = Math.min(
      times.reduce((a, b) => Math.max(a, b)),
      this.#clock.now(),
    )
    return Math.max(0, newest - overlapMs)
  }

  /** Takes a chain as far as it can be believed. @returns when its last statement was made */
  #takeEntry({ statements, names }: ProposalEntry, session: Session): number {
    let last = -1
    for (const value of statements as readonly unknown[]) {
      try {
        const statement = readStatement(value)
        last = statement.ts
        const name = (names as Readonly<Record<string, unknown>>)[agentIdOfDid(statement.from)]
        const step = this.#believe(statement, session)
        if (!step.isNew) continue
        this.#records.add({ ...step, name: typeof name === "string" ? name.slice(0, longestName) : "" })
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        if (error.code !== "PROPOSAL_EXPIRED") this.#refuse(value, error)
        break
      }
    }
    return last
  }

  /** Told once of each statement, also over crashes. */
  #refuse(value: unknown, { code, message }: ChatError, confirms?: string): void {
    this.#events.log(`statement refused: ${code} ${message}`)
    if (++this.#notices > mostNotices) {
      if (confirms !== undefined) this.#events.confirm(confirms)
      return
    }
    const msgId = `refused ${hash("sha256", JSON.stringify(value), "hex").slice(0, 32)}`
    const text = `a statement was refused, and the proposal is as it was: ${message}`
    const line = { type: "NOTICE", code, message: text, ts: this.#clock.now(), msg_id: msgId }
    this.#events.mirror(
      { line, msgId },
      confirms === undefined ? undefined : { direct: confirms, isOwn: true },
    )
  }
}

/** What signs in the place of {@link Deals} where there is no key. @throws {ChatError} IDENTITY_REQUIRED */
export function refuseDraft(): Promise<never> {
  const error = new ChatError("IDENTITY_REQUIRED", "only an agent with an identity can agree to anything", {
    hint: "start the daemon without --ephemeral and without --compat",
  })
  return Promise.reject(error)
}
