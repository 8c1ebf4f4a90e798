import { LruMap } from "../base/lru-map.js"
import type { ServerMessage } from "../protocol/server-messages.js"

/** Messages kept for a listener that is yet to come. */
const maxHeld = 1_000
/** Ids of delivered messages kept to recognise one that arrives again. */
const rememberedIds = 2_000

/**
 * Keeps messages until somebody listens, so that `await join(…)` followed by `on("message", …)` misses
 * nothing. Beyond the bound the oldest are let go.
 */
export class MessageHold {
  readonly #held: ServerMessage<"MSG">[] = []
  readonly #delivered = new LruMap<string, true>(rememberedIds)
  readonly #deliver: (message: ServerMessage<"MSG">) => boolean

  /** @param deliver - returns false when nobody listens */
  constructor(deliver: (message: ServerMessage<"MSG">) => boolean) {
    this.#deliver = deliver
  }

  /** Whether listeners have had the message; relays repeat one whose acknowledgement was lost. */
  hasDelivered(messageId: string): boolean {
    return this.#delivered.has(messageId)
  }

  push(message: ServerMessage<"MSG">): void {
    this.#held.push(message)
    this.release()
    if (this.#held.length > maxHeld) this.#held.shift()
  }

  /** Passes on what is held, oldest first, while somebody listens. */
  release(): void {
    for (let message = this.#held[0]; message !== undefined; message = this.#held[0]) {
      if (!this.hasDelivered(message.msg_id)) {
        if (!this.#deliver(message)) return
        this.#delivered.set(message.msg_id, true)
      }
      this.#held.shift()
    }
  }
}
