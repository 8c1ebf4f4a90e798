import { LruMap } from "../base/lru-map.js"

/** Events kept for a listener that is not there yet; beyond that the oldest is dropped. */
const maxHeld = 1_000
/** Ids remembered to recognize repeated messages. */
const maxDelivered = 2_000

/**
 * Holds events until there is a listener for their type, so that `await join(…)` followed by `on("message", …)` misses
 * nothing, and delivers each once.
 */
export class EventBuffer<E extends { readonly type: string; readonly msg_id: string }> {
  readonly #held: E[] = []
  readonly #delivered = new LruMap<string, true>(maxDelivered)
  readonly #deliver: (event: E) => boolean

  /** @param deliver - returns false if there is no listener for the type of the event */
  constructor(deliver: (event: E) => boolean) {
    this.#deliver = deliver
  }

  /** Reports whether a listener got the event: relays repeat a message whose acknowledgment was lost. */
  hasDelivered(messageId: string): boolean {
    return this.#delivered.has(messageId)
  }

  /** Delivers an event, after those of its type that are held. */
  push(event: E): void {
    const isBehind = this.#held.some(({ type }) => type === event.type)
    if (!isBehind && this.#tryDeliver(event)) return
    this.#held.push(event)
    if (this.#held.length > maxHeld) this.#held.shift()
  }

  /** Delivers the held events that have a listener by now, oldest first. */
  release(): void {
    let index = 0
    for (let event = this.#held[0]; event !== undefined; event = this.#held[index]) {
      if (this.#tryDeliver(event)) this.#held.splice(index, 1)
      else index++
    }
  }

  #tryDeliver(event: E): boolean {
    if (this.hasDelivered(event.msg_id)) return true
    if (!this.#deliver(event)) return false
    this.#delivered.set(event.msg_id, true)
    return true
  }
}
