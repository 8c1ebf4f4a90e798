import type { EventEmitter } from "node:events"
import type { ChatError } from "../protocol/errors.js"
import { type ServerMessage, serverMessages } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import type { Confirmations } from "./confirmations.js"
import type { DealGate } from "./deals/deal-gate.js"
import type { AgentChatClientEvents } from "./events.js"
import type { JoinedChannels } from "./joined-channels.js"
import { MessageHold } from "./message-hold.js"
import type { OwnIdentity } from "./own-identity.js"
import { errorOfMessage, isFarewell } from "./relay-error.js"

/** Whom incoming messages concern beside those who listen. */
interface Concerned {
  readonly channels: JoinedChannels
  /** Of the relay they come from. */
  readonly serverId: () => string
  readonly deals: Pick<DealGate, "push">
  readonly self: Pick<OwnIdentity, "isPersistent">
  readonly confirmations: Confirmations
}

/**
 * What a relay sends that no call waits for, made into a client's events. A `message` is told once, however often the
 * relay repeats it, and waits for the first listener; direct mail is confirmed once somebody has listened to it.
 */
export class Incoming {
  readonly #emitter: EventEmitter<AgentChatClientEvents>
  readonly #concerned: Concerned
  readonly #hold = new MessageHold((message) => this.#emitMessage(message))

  constructor(emitter: EventEmitter<AgentChatClientEvents>, concerned: Concerned) {
    this.#emitter = emitter
    this.#concerned = concerned
    ;(emitter as EventEmitter).on("newListener", (added) => {
      // The listener is added after this.
      if (added === "message") queueMicrotask(() => this.#hold.release())
    })
  }

  /** Takes a message. */
  take(message: ServerMessage): void {
    const { channels, deals } = this.#concerned
    if (message.type === "ERROR") this.report(errorOfMessage(message))
    else if (message.type === "JOINED" || message.type === "LEFT") this.#move(message)
    else if (isStatement(message)) deals.push(message)
    else if (message.type !== "MSG") this.#passOn(message)
    else {
      channels.saw(message)
      if (this.#hold.hasDelivered(message.msg_id)) this.#acknowledge(message)
      else this.#hold.push(message)
    }
  }

  /** Tells of a failure that no call waits for. Nobody has to listen. */
  report(error: ChatError): void {
    if (!isFarewell(error) && this.#emitter.listenerCount("error") > 0) this.#emitter.emit("error", error)
  }

  /** A pattern brings channels, and lets them go, without being asked again. */
  #move(message: ServerMessage<"JOINED" | "LEFT">): void {
    const { channels, serverId } = this.#concerned
    if (message.type === "LEFT") channels.left(message.channel)
    else if (message.pattern !== undefined) channels.entered(message, serverId())
  }

  #passOn(message: ServerMessage): void {
    const row = serverMessages[message.type]
    if ("event" in row) (this.#emitter as EventEmitter).emit(row.event, message)
  }

  #emitMessage(message: ServerMessage<"MSG">): boolean {
    if (!this.#emitter.emit("message", message)) return false
    this.#acknowledge(message)
    return true
  }

  /** A relay keeps direct messages to a persistent identity until it hears that they arrived. */
  #acknowledge({ to, msg_id: id }: ServerMessage<"MSG">): void {
    const { self, confirmations } = this.#concerned
    if (self.isPersistent && to.startsWith("@")) confirmations.add(id)
  }
}

function isStatement(message: ServerMessage): message is ServerMessage<Verb> {
  return isVerb(message.type)
}
