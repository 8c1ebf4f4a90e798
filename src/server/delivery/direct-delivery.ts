import { randomBytes } from "node:crypto"
import type { Appended, Backbone, Logs } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import { authorOf, isStatementId, mailEntryId } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { DeliveryState, ServerMessage } from "../../protocol/server-messages.js"
import type { Roster } from "../roster/roster.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { type Payload, payloadOf, textOf } from "../wire/frame-encoder.js"
import type { Mailboxes } from "./mailboxes.js"

const busIdBytes = 9

/**
 * Carries messages that are not stored to an agent connected to another relay of the same backbone. Messages in
 * channels do not pass here: relays share the log of a channel, see `channels/history.ts`.
 */
export class RelayBus {
  readonly #logs: Logs | undefined
  readonly #log: (line: string) => void
  readonly #prefix = randomBytes(busIdBytes).toString("base64url")
  #count = 0

  private constructor(logs: Logs | undefined, log: (line: string) => void) {
    this.#logs = logs
    this.#log = log
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Backbone,
    sessions: SessionRegistry,
    log: (line: string) => void,
  ): Promise<RelayBus> {
    if (!backbone.isShared) return new RelayBus(undefined, log)
    const logs = await backbone.logs("bus", { maxEntries: 0, whenFull: "drop-oldest", storage: "memory" })
    await logs.subscribe(({ key, value }) => sessions.find(`@${key}`)?.sendQueue.send(payloadOf(value)))
    return new RelayBus(logs, log)
  }

  /** Sends a message to `to` through the other relays. It is lost if `to` is not connected to any of them. */
  send(to: AgentId, text: string): void {
    this.#logs?.append(to.slice(1), `${this.#prefix}${this.#count++}`, text).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#log(`a message for ${to} on another relay is lost: ${error.code}`)
    })
  }
}

/** The services that a {@link DirectDelivery} is built on. */
interface DirectDeliveryOptions {
  readonly sessions: SessionRegistry
  readonly roster: Pick<Roster, "find">
  readonly bus: Pick<RelayBus, "send">
  readonly mailboxes: Pick<Mailboxes, "post" | "postNotice">
  readonly clock: Clock
}

/** Delivers a message to one agent, on whichever relay it is connected. */
export class DirectDelivery {
  readonly #sessions: SessionRegistry
  readonly #roster: Pick<Roster, "find">
  readonly #bus: Pick<RelayBus, "send">
  readonly #mailboxes: Pick<Mailboxes, "post" | "postNotice">
  readonly #clock: Clock

  constructor({ sessions, roster, bus, mailboxes, clock }: DirectDeliveryOptions) {
    this.#sessions = sessions
    this.#roster = roster
    this.#bus = bus
    this.#mailboxes = mailboxes
    this.#clock = clock
  }

  /**
   * Sends a message without storing it. An agent that this relay does not know may have connected to another one
   * a moment ago, so the message goes there too.
   */
  send(to: AgentId, payload: Payload): void {
    const session = this.#sessions.find(to)
    if (session === undefined) this.#bus.send(to, textOf(payload))
    else session.sendQueue.send(payload)
  }

  /** Returns whether messages to an agent are stored in a mailbox: only an agent with a key has one. */
  isStored(to: AgentId): boolean {
    return persistentIdPattern.test(to)
  }

  /**
   * Stores a message for an agent with a key until that confirms it, and sends it when the agent is online.
   * @param text - the whole message, JSON
   * @param digest - kept with the id, see {@link Logs.append}
   * @throws {ChatError} MAILBOX_FULL, UNAVAILABLE
   */
  post(to: AgentId, messageId: string, text: string, digest?: number): Promise<Appended> {
    return this.#mailboxes.post(to, messageId, text, digest)
  }

  /** Reports the fate of a message to its author, at once or when the author is back. */
  notify(to: AgentId, notice: ServerMessage<"DELIVERY">): void {
    const isAway = this.#sessions.find(to) === undefined && this.#roster.find(to)?.status === "offline"
    if (isAway) this.#mailboxes.postNotice(to, notice)
    else this.send(to, payloadOf(JSON.stringify(notice)))
  }

  /** Reports to the author of a message that `by` has it in its inbox, or has read it. */
  reportDelivery(messageId: string, state: DeliveryState, by: AgentId): void {
    const author = authorOf(messageId)
    // The copy of a statement that goes back to its signer is not a delivery.
    if (author === by && isStatementId(messageId)) return
    this.notify(author, { type: "DELIVERY", msg_id: messageId, state, by, ts: this.#clock.now() })
  }

  /** Sends the answer to a task to the agent that asked for it. @throws {ChatError} MAILBOX_FULL, UNAVAILABLE */
  async answer(task: string, text: string): Promise<void> {
    const to = authorOf(task)
    // The id names the task, so an answer that several relays send is stored once.
    if (this.isStored(to)) await this.post(to, mailEntryId.taskAnswer(task), text)
    else this.send(to, payloadOf(text))
  }
}
