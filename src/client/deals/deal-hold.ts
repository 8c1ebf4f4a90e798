import { LruMap } from "../../base/lru-map.js"
import type { DealEvent } from "./deal-event.js"

/** Steps kept for a listener that is yet to come. */
const maxHeld = 1_000
/** Ids of delivered messages kept to recognise one that arrives again. */
const rememberedIds = 2_000

/** Keeps steps of deals until somebody listens to their kind. Beyond the bound the oldest are let go. */
export class DealHold {
  readonly #held: DealEvent[] = []
  readonly #delivered = new LruMap<string, true>(rememberedIds)
  readonly #deliver: (event: DealEvent) => boolean

  /** @param deliver - returns false when nobody listens */
  constructor(deliver: (event: DealEvent) => boolean) {
    this.#deliver = deliver
  }

  /** Whether listeners have had the step. */
  hasDelivered(messageId: string): boolean {
    return this.#delivered.has(messageId)
  }

  push(event: DealEvent): void {
    const waits = this.#held.some(({ type }) => type === event.type)
    if (!waits && this.#tell(event)) return
    this.#held.push(event)
    if (this.#held.length > maxHeld) this.#held.shift()
  }

  /** Passes on what somebody listens to by now, oldest first. */
  release(): void {
    let waiting = 0
    for (let event = this.#held[waiting]; event !== undefined; event = this.#held[waiting]) {
      if (this.#tell(event)) this.#held.splice(waiting, 1)
      else waiting++
    }
  }

  #tell(event: DealEvent): boolean {
    if (this.hasDelivered(event.msg_id)) return true
    if (!this.#deliver(event)) return false
    this.#delivered.set(event.msg_id, true)
    return true
  }
}
