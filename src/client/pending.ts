import type { Clock, Timer } from "../base/clock.js"
import {
  type AnswerType,
  type ClientFrame,
  clientMessages,
  type RequestType,
} from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { errorOfMessage } from "./relay-error.js"

export type RequestFrame = ClientFrame<RequestType>

export type AnswerTo<F extends RequestFrame> = ServerMessage<AnswerType<F["type"]>>

interface Pending {
  readonly type: RequestType
  readonly timer: Timer
  readonly resolve: (answer: ServerMessage) => void
  readonly reject: (error: ChatError) => void
}

/** The requests that wait for an answer, by the id of their frame. */
export class PendingRequests {
  readonly #clock: Clock
  readonly #pending = new Map<string, Pending>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the answer. @throws {ChatError} the relay's refusal; TIMEOUT; the error of {@link failAll} */
  add(id: string, type: RequestType, timeoutMs: number): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      if (this.#pending.has(id)) throw new ChatError("USAGE", `id: ${id} already waits for an answer`)
      const timer = this.#clock.setTimer(() => {
        this.#pending.delete(id)
        reject(new ChatError("TIMEOUT", `${type}: no answer within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#pending.set(id, { type, timer, resolve, reject })
    })
  }

  /** Settles the request that a message answers. @returns false if it answers none */
  settle(message: ServerMessage): boolean {
    const id = "re" in message ? message.re : undefined
    const pending = id === undefined ? undefined : this.#pending.get(id)
    if (id === undefined || pending === undefined) return false
    this.#pending.delete(id)
    pending.timer.cancel()
    if (message.type === "ERROR") pending.reject(errorOfMessage(message))
    else if (message.type === clientMessages[pending.type].answer) pending.resolve(message)
    else pending.reject(new ChatError("UNSUPPORTED", `${pending.type}: answered by ${message.type}`))
    return true
  }

  failAll(error: ChatError): void {
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    for (const { timer, reject } of waiting) {
      timer.cancel()
      reject(error)
    }
  }
}
