import { hash } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import type { Connection } from "../../client/connection.js"
import { DealEngine, type SignedDraft } from "../../client/deals/deal-engine.js"
import type { Identity } from "../../identity/identity-file.js"
import { type Deal, openDeal } from "../../proposals/deal.js"
import type { Decision } from "../../proposals/receipt.js"
import { statementMessageId } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import type { LockOwner } from "../files/lock-file.js"
import type { DaemonPaths } from "../files/paths.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import { DealJournal, type DealJournalEvents } from "./deal-journal.js"
import { isOver } from "./proposals-file.js"

/** Twice the tolerated clock difference of the parties: a later statement may have an earlier `ts`. */
const overlapMs = 600_000
/** Most NOTICE lines about invalid statements per run: a relay could invent any number. */
const maxNotices = 100

type Session = Pick<Connection, "request" | "welcome">

/** Connects {@link Deals} to the rest of the daemon. */
export interface DealEvents extends DealJournalEvents {
  /** Called when the relay's answer to the statement `re` is invalid or cannot be checked now. */
  onAnswerRefused(re: string, error: ChatError): void
  readonly log: (line: string) => void
}

export interface DealsOptions {
  readonly paths: Pick<DaemonPaths, "proposals" | "receipts">
  readonly identity: Identity
  readonly clock: Clock
  readonly memory: DaemonMemory
  /** Takes the lock of receipts.jsonl. */
  readonly owner: LockOwner
}

/**
 * The deals of a daemon's agent. Valid statements go to the files and the inbox; an invalid one leaves the deal
 * unchanged and a NOTICE in the inbox.
 */
export class Deals {
  readonly #self: string
  readonly #clock: Clock
  readonly #events: DealEvents
  readonly #journal: DealJournal
  readonly #engine: DealEngine
  #session: Session | undefined
  #synced: Promise<void> = Promise.resolve()
  #notices = 0

  /** @throws {ChatError} FILE_FAILED if proposals.jsonl cannot be read */
  constructor({ paths, identity, clock, memory, owner }: DealsOptions, events: DealEvents) {
    this.#self = identity.did
    this.#clock = clock
    this.#events = events
    this.#journal = new DealJournal({ paths, self: identity.did, clock, memory, owner }, events)
    const relay = {
      serverId: () => this.#requireSession().welcome.server_id,
      request: ((frame) => this.#requireSession().request(frame)) as Session["request"],
    }
    this.#engine = new DealEngine(
      { identity, clock, relay },
      {
        get: (id) => this.#journal.get(id),
        add: (verified) => this.#journal.add(verified),
        check: (statement, message) => this.#check(statement, message),
        onInvalid: (value, error, message) => this.#onInvalid(value, error, message),
        onDeferred: ({ re }, error) => {
          // The line is sent again; those behind it wait.
          if (re !== undefined) events.onAnswerRefused(re, error)
        },
      },
    )
  }

  /** Starts a session and fetches missed statements. */
  attach(session: Session): void {
    this.#session = session
    this.#journal.flush()
    this.#synced = this.#sync()
  }

  detach(): void {
    this.#session = undefined
    this.#engine.reset()
  }

  /** Retries failed writes. Called once a second. */
  sweep(): void {
    this.#journal.flush()
  }

  onDurable(lineIds: readonly string[]): void {
    this.#journal.onDurable(lineIds)
  }

  close(): void {
    this.#journal.close()
  }

  /** Takes a statement from the relay, perhaps as the answer to one of ours. */
  receive(message: ServerMessage<Verb>): void {
    if (this.#session !== undefined) this.#engine.receive(message)
  }

  /**
   * Signs a draft.
   * @param key - id of its outbox line
   * @throws {ChatError} as {@link DealEngine.sign}; FILE_FAILED if statements cannot be written now
   */
  async sign(draft: Draft, key: string): Promise<SignedDraft> {
    await this.#synced
    this.#journal.requireWritable()
    return this.#engine.sign(draft, key)
  }

  addDecision(decision: Decision): void {
    this.#journal.addDecision(decision)
  }

  /** Returns a deal by the id of its proposal. */
  get(proposalId: string): Deal | undefined {
    return this.#journal.get(proposalId)
  }

  markStale(proposalId: string): void {
    this.#engine.markStale(proposalId)
  }

  #requireSession(): Session {
    if (this.#session === undefined) throw new ChatError("UNREACHABLE", "server: not connected")
    return this.#session
  }

  #check(statement: Statement, message: ServerMessage<Verb> | undefined): void {
    const { type, id, from } = statement
    if (message !== undefined) {
      if (message.msg_id !== statementMessageId(statement)) {
        throw new ChatError(
          "VERIFICATION_FAILED",
          `${type}.msg_id: must name the signer, the deal and the verb`,
        )
      }
      // The other party chooses the ids of its statements and could imitate the answer to one of ours.
      if (message.re !== undefined && (message.re !== id || from !== this.#self)) {
        throw new ChatError("VERIFICATION_FAILED", `${type}.re: must be the id of a statement of your own`)
      }
    }
    if (
      type === "PROPOSAL" &&
      this.#journal.get(id) === undefined &&
      isOver(openDeal(statement), this.#clock.now())
    ) {
      throw new ChatError("PROPOSAL_EXPIRED", "PROPOSAL.ts: the proposal was over long ago")
    }
  }

  #onInvalid(value: unknown, error: ChatError, message: ServerMessage<Verb> | undefined): void {
    // Relays keep a deal longer than this daemon does.
    if (message === undefined && error.code === "PROPOSAL_EXPIRED") return
    this.#notify(value, error, message?.msg_id)
    if (message?.re !== undefined) this.#events.onAnswerRefused(message.re, error)
  }

  /** Fetches what changed since the newest known statement. */
  async #sync(): Promise<void> {
    try {
      await this.#engine.fetchSince(this.#newestTs())
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`proposals: cannot be listed: ${error.code} ${error.message}`)
    }
  }

  #newestTs(): number | undefined {
    const { server_id: serverId } = this.#requireSession().welcome
    let newestTs: number | undefined
    for (const { chain } of this.#journal.list()) {
      if (chain[0].aud === serverId) newestTs = Math.max(newestTs ?? 0, chain.at(-1)?.ts ?? 0)
    }
    if (newestTs === undefined) return undefined
    // A `ts` in the future would hide everything that happens until then.
    return Math.max(0, Math.min(newestTs, this.#clock.now()) - overlapMs)
  }

  /** Appends a NOTICE; its id is a hash of the statement, so that a repeated statement causes no second one. */
  #notify(value: unknown, { code, message }: ChatError, confirms: string | undefined): void {
    this.#events.log(`statement refused: ${code} ${message}`)
    if (++this.#notices > maxNotices) {
      if (confirms !== undefined) this.#events.confirm(confirms)
      return
    }
    const msgId = `refused ${hash("sha256", JSON.stringify(value), "hex").slice(0, 32)}`
    const text = `an invalid statement was refused, and the deal is unchanged: ${message}`
    const line = { type: "NOTICE", code, message: text, ts: this.#clock.now(), msg_id: msgId }
    const mark = confirms === undefined ? undefined : { direct: confirms, isOwn: true }
    this.#events.mirror({ line, msgId }, mark)
  }
}

/** Replaces {@link Deals.sign} for an agent without an identity. @throws {ChatError} IDENTITY_REQUIRED */
export function refuseDraft(): Promise<never> {
  const error = new ChatError("IDENTITY_REQUIRED", "a deal needs an identity to sign with", {
    hint: "start the daemon without --ephemeral and without --compat",
  })
  return Promise.reject(error)
}
