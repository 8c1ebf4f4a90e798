import type { Timer } from "../../base/clock.js"
import type { AgentChatClient } from "../../client/client.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context } from "../context.js"
import { Outcome } from "../exit-status.js"

const heardEvents = [
  "message",
  "agent_joined",
  "agent_left",
  "presence",
  "invite",
  "channel_changed",
] as const

/** When to stop listening; without bounds, never. */
export interface ListenerBounds {
  readonly messages: number | undefined
  readonly timeoutMs: number | undefined
}

/** Hands on a client's news until there were enough messages, the time is over, somebody interrupts, or it is lost. */
export class Listener {
  readonly #print: (message: ServerMessage) => void
  readonly #bounds: ListenerBounds
  readonly #outcome = new Outcome()
  #timer: Timer | undefined
  #messages = 0

  constructor(client: AgentChatClient, bounds: ListenerBounds, print: (message: ServerMessage) => void) {
    this.#print = print
    this.#bounds = bounds
    for (const event of heardEvents) {
      client.on(event, (message: ServerMessage) => this.#take(message))
    }
    client.on("disconnect", (error) => this.#outcome.end(error))
  }

  /** The exit status. Rejects with TIMEOUT when no message came, or with what ended the session. */
  get ended(): Promise<number> {
    return this.#outcome.status
  }

  /** From here on time passes and signals count. */
  start(context: Context): void {
    const { timeoutMs } = this.#bounds
    this.#outcome.heedSignals(context)
    if (timeoutMs === undefined) return
    this.#timer = context.clock.setTimer(() => this.#timeOut(timeoutMs), timeoutMs)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #take(message: ServerMessage): void {
    if (this.#outcome.isOver) return
    this.#print(message)
    if (message.type === "MSG" && ++this.#messages === this.#bounds.messages) this.#outcome.end(0)
  }

  #timeOut(timeoutMs: number): void {
    const silence = new ChatError("TIMEOUT", `no message came within ${timeoutMs / 1000} s`)
    this.#outcome.end(this.#messages > 0 ? 0 : silence)
  }
}
