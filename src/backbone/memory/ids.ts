import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"

/** Milliseconds an id is remembered at least, as far as the bound allows. */
const keptMs = 3_600_000

/** What an id stands for. */
interface Known {
  readonly seq: number
  readonly ts: number
}

/** Ids of entries that were appended, to know the same entry when it comes again. */
export class MemoryIds {
  readonly #clock: Clock
  readonly #known: LruMap<string, Known>

  /** @param max - ids remembered at most; the oldest are forgotten first */
  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#known = new LruMap(max)
  }

  find(id: string): Known | undefined {
    return this.#known.peek(id)
  }

  add(id: string, seq: number, ts: number): void {
    this.#known.set(id, { seq, ts })
    const eldestMs = this.#clock.now() - keptMs
    for (const [oldest, known] of this.#known) {
      if (known.ts >= eldestMs) break
      this.#known.delete(oldest)
    }
  }
}
