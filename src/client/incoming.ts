import type { EventEmitter } from "node:events"
import { ChatError } from "../protocol/errors.js"
import { type ServerMessage, serverMessages } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import type { Deals } from "./deals/deals.js"
import { EventBuffer } from "./event-buffer.js"
import type { AgentChatClientEvents } from "./events.js"
import type { JoinedChannels } from "./joined-channels.js"
import type { Checked } from "./message-check.js"
import type { IdentitySource } from "./options.js"
import { endsSession, errorOfMessage } from "./relay-error.js"

interface IncomingTargets {
  readonly channels: JoinedChannels
  /** Returns the `server_id` of the relay the messages come from. */
  readonly serverId: () => string
  readonly deals: Pick<Deals, "push">
  /** @throws {ChatError} VERIFICATION_FAILED */
  readonly check: <M extends ServerMessage<"MSG"> | ServerMessage<"TASK">>(message: M) => Checked<M>
  readonly identity: Pick<IdentitySource, "isPersistent">
  readonly receipts: ReceivedIds
  readonly notices: ReceivedIds
}

/**
 * Turns messages that no call waits for into a client's events. A `message` event is emitted once, however often the relay
 * repeats the message, and waits for the first listener. A direct message is confirmed once a listener has received
 * it.
 */
export class Incoming {
  readonly #emitter: EventEmitter<AgentChatClientEvents>
  readonly #targets: IncomingTargets
  readonly #held = new EventBuffer<Checked<ServerMessage<"MSG">>>((message) => this.#emitMessage(message))

  constructor(emitter: EventEmitter<AgentChatClientEvents>, targets: IncomingTargets) {
    this.#emitter = emitter
    this.#targets = targets
    ;(emitter as EventEmitter).on("newListener", (name) => {
      // `newListener` is emitted before the listener is added.
      if (name === "message") queueMicrotask(() => this.#held.release())
    })
  }

  take(message: ServerMessage): void {
    const { channels, deals } = this.#targets
    if (message.type === "ERROR") this.report(errorOfMessage(message))
    else if (message.type === "JOINED" || message.type === "LEFT") this.#changeMembership(message)
    else if (isStatement(message)) deals.push(message)
    else if (message.type === "TASK") this.#takeTask(message)
    else if (message.type !== "MSG") this.#emitUnchanged(message)
    else {
      channels.onRead(message)
      if (this.#held.hasDelivered(message.msg_id)) this.#confirm(message)
      else this.#takeText(message)
    }
  }

  #takeText(message: ServerMessage<"MSG">): void {
    const checked = this.#check(message)
    if (checked !== undefined) this.#held.push(checked)
  }

  #takeTask(message: ServerMessage<"TASK">): void {
    const checked = this.#check(message)
    if (checked !== undefined) this.#emitUnchanged(checked)
  }

  /** Checks a message. @returns undefined for one that is dropped, which is reported */
  #check<M extends ServerMessage<"MSG"> | ServerMessage<"TASK">>(message: M): Checked<M> | undefined {
    try {
      return this.#targets.check(message)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.report(error)
      return undefined
    }
  }

  /** Emits a failure that no call waits for, if anybody listens. */
  report(error: ChatError): void {
    if (!endsSession(error) && this.#emitter.listenerCount("error") > 0) this.#emitter.emit("error", error)
  }

  /** A pattern joins and leaves channels without a request for each. */
  #changeMembership(message: ServerMessage<"JOINED" | "LEFT">): void {
    const { channels, serverId } = this.#targets
    if (message.type === "LEFT") channels.left(message.channel)
    else if (message.pattern !== undefined) channels.joined(message, serverId())
  }

  #emitUnchanged(message: ServerMessage): void {
    const row = serverMessages[message.type]
    if ("event" in row) (this.#emitter as EventEmitter).emit(row.event, message)
    const id = noticeIdOf(message)
    if (id !== undefined) this.#targets.notices.add(id)
  }

  #emitMessage(message: Checked<ServerMessage<"MSG">>): boolean {
    if (!this.#emitter.emit("message", message)) return false
    this.#confirm(message)
    return true
  }

  /** A relay keeps direct messages to a persistent identity until they are confirmed. */
  #confirm({ to, msg_id: id }: ServerMessage<"MSG">): void {
    const { identity, receipts } = this.#targets
    if (identity.isPersistent && to.startsWith("@")) receipts.add(id)
  }
}

/** Returns the id by which a notice is confirmed; undefined if the relay does not wait for that. */
function noticeIdOf(message: ServerMessage): string | undefined {
  if (message.type === "DELIVERY") return message.mail_id
  return message.type === "INVITE" || message.type === "TASK_EXPIRED" ? message.msg_id : undefined
}

function isStatement(message: ServerMessage): message is ServerMessage<Verb> {
  return isVerb(message.type)
}

/** Most ids in one RECEIVED frame. */
const maxReceived = 1_000

/** Ids of received messages. All ids of one turn of the event loop are sent together. */
export class ReceivedIds {
  #ids: string[] = []
  readonly #send: (ids: string[]) => void

  constructor(send: (ids: string[]) => void) {
    this.#send = send
  }

  add(messageId: string): void {
    if (this.#ids.push(messageId) > 1) return
    queueMicrotask(() => {
      const ids = this.#ids
      this.#ids = []
      for (let start = 0; start < ids.length; start += maxReceived) {
        this.#send(ids.slice(start, start + maxReceived))
      }
    })
  }
}
