import type { Appended, Backbone, Bus } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { authorOf, isStatementId, mailEntryId } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { DeliveryState, ServerMessage } from "../../protocol/server-messages.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import type { Mailboxes } from "./mailboxes.js"
import { parseStored } from "./message-json.js"

/**
 * Carries messages that are not stored to an agent connected to another relay of the same backbone. Messages in
 * channels do not pass here: relays share the log of a channel, see `channels/history.ts`.
 */
export class RelayBus {
  readonly #bus: Bus | undefined
  readonly #log: (line: string) => void

  private constructor(bus: Bus | undefined, log: (line: string) => void) {
    this.#bus = bus
    this.#log = log
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    { bus }: Pick<Backbone, "bus">,
    sessions: SessionRegistry,
    log: (line: string) => void,
  ): Promise<RelayBus> {
    await bus?.subscribe((key, value) => {
      const session = sessions.find(`@${key}`)
      if (session === undefined) return
      const message = parseStored({ value })
      if (message?.type === "MSG") session.agent.memory.delivered.add(message.msg_id)
      session.sendQueue.send(value)
    })
    return new RelayBus(bus, log)
  }

  /** Sends a message to `to` through the other relays. It is lost if `to` is not connected to any of them. */
  send(to: AgentId, text: string): void {
    this.#bus?.publish(to.slice(1), text).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#log(`a message for ${to} on another relay is lost: ${error.code}`)
    })
  }
}

/** The services that a {@link DirectDelivery} is built on. */
interface DirectDeliveryOptions {
  readonly sessions: SessionRegistry
  readonly bus: Pick<RelayBus, "send">
  readonly mailboxes: Pick<Mailboxes, "hadNotice" | "post" | "postNotice">
  readonly clock: Clock
  /** Called with each stage that a message has reached. */
  readonly onStage: (stage: DeliveryState) => void
}

/** Delivers a message to one agent, on whichever relay it is connected. */
export class DirectDelivery {
  readonly #sessions: SessionRegistry
  readonly #bus: Pick<RelayBus, "send">
  readonly #mailboxes: Pick<Mailboxes, "hadNotice" | "post" | "postNotice">
  readonly #clock: Clock
  readonly #onStage: (stage: DeliveryState) => void

  constructor({ sessions, bus, mailboxes, clock, onStage }: DirectDeliveryOptions) {
    this.#onStage = onStage
    this.#sessions = sessions
    this.#bus = bus
    this.#mailboxes = mailboxes
    this.#clock = clock
  }

  /**
   * Sends a message without storing it. An agent that this relay does not know may have connected to another one
   * a moment ago, so the message goes there too.
   * @param messageId - of a message that a reader may take
   */
  send(to: AgentId, text: string, messageId?: string): void {
    const session = this.#sessions.find(to)
    if (session === undefined) {
      this.#bus.send(to, text)
      return
    }
    if (messageId !== undefined) session.agent.memory.delivered.add(messageId)
    session.sendQueue.send(text)
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

  /**
   * Sends a notice of the relay to an agent. One with a key gets it by mail, until its client confirms it. The promise
   * resolves when the store has it.
   * @param entryId - one that is sent again with the same id, for instance by a relay that starts, is stored once
   */
  async notify(to: AgentId, entryId: string, notice: ServerMessage<"DELIVERY" | "INVITE">): Promise<void> {
    if (!this.isStored(to)) this.send(to, JSON.stringify(notice))
    else await this.#mailboxes.postNotice(to, entryId, notice)
  }

  /** Reports to the author of a message a stage that it has reached at `by`. @param method - of ringing or reading */
  async reportDelivery(messageId: string, state: DeliveryState, by: AgentId, method?: string): Promise<void> {
    const author = authorOf(messageId)
    this.#onStage(state)
    // The copy of a statement that goes back to its signer is not a delivery.
    if (author === by && isStatementId(messageId)) return
    const facts = { msg_id: messageId, state, by, ts: this.#clock.now(), ...omitUndefined({ method }) }
    const notice = { type: "DELIVERY", ...facts } as const
    await this.notify(author, mailEntryId.delivery(messageId, state, by), notice)
  }

  /**
   * Reports whether the author of a message, one with a key, has got the news that it is in the inbox of `by`. Unlike the
   * memory of what was delivered, the store knows that after a restart and at every relay.
   * @throws {ChatError} UNAVAILABLE
   */
  async wasMirrored(messageId: string, by: AgentId): Promise<boolean> {
    const author = authorOf(messageId)
    if (!this.isStored(author)) return false
    return await this.#mailboxes.hadNotice(author, mailEntryId.delivery(messageId, "mirrored", by))
  }

  /** Sends the answer to a task to the agent that asked for it. @throws {ChatError} MAILBOX_FULL, UNAVAILABLE */
  async answer(task: string, text: string): Promise<void> {
    const to = authorOf(task)
    // The id names the task, so an answer that several relays send is stored once.
    if (this.isStored(to)) await this.post(to, mailEntryId.taskAnswer(task), text)
    else this.send(to, text, messageIdIn(text))
  }
}

/** Returns the id of a message that a reader may take; undefined for a notice. */
function messageIdIn(text: string): string | undefined {
  const stored = parseStored({ value: text })
  return stored?.type === "MSG" ? stored.msg_id : undefined
}
