import type { Clock, Timer } from "../../base/clock.js"

/** When the claims of a queue end, each once, by the monotonic clock of this relay. */
export class QueueLeases {
  readonly #clock: Clock
  readonly #onEnd: (key: string) => void
  readonly #timers = new Map<string, Timer>()
  #isClosed = false

  constructor(clock: Clock, onEnd: (key: string) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  /** Has the lease of a key end after `ms`, whatever was said of it before. */
  begin(key: string, ms: number): void {
    this.drop(key)
    if (this.#isClosed) return
    const end = () => {
      this.#timers.delete(key)
      this.#onEnd(key)
    }
    this.#timers.set(key, this.#clock.setTimer(end, ms, { unref: true }))
  }

  /** A key has no lease any more. */
  drop(key: string): void {
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
  }

  /** No lease ends any more. */
  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }
}
