import type { Clock, Timer } from "../../base/clock.js"

/** How long the end of a task is remembered, so that a sender that tries again does not have it done twice. */
const keptMs = 3_600_000
/** Ends remembered at most; the oldest are forgotten first. */
const maxCount = 10_000
/** Milliseconds between two looks at what is old enough. */
const sweepMs = keptMs / 10

/** When the tasks of a queue ended. Looks through them again and again, and says which are to be forgotten. */
export class QueueEnds {
  readonly #clock: Clock
  readonly #onOld: (key: string) => void
  readonly #ends = new Map<string, number>()
  #sweep: Timer | undefined
  #isClosed = false

  /**
   * @param onOld - told of each end that is older than an hour, or one of too many, at every look until it is
   * {@link forget forgotten}
   */
  constructor(clock: Clock, onOld: (key: string) => void) {
    this.#clock = clock
    this.#onOld = onOld
  }

  /** @param endedTs - milliseconds since the Unix epoch */
  remember(key: string, endedTs: number): void {
    this.#ends.set(key, endedTs)
    this.#sweepLater()
  }

  /** Does nothing for a key of which no end is remembered. */
  forget(key: string): void {
    this.#ends.delete(key)
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isClosed = true
    this.#sweep?.cancel()
  }

  #sweepLater(): void {
    if (this.#isClosed) return
    this.#sweep ??= this.#clock.setTimer(() => this.#look(), sweepMs, { unref: true })
  }

  #look(): void {
    this.#sweep = undefined
    const eldestTs = this.#clock.now() - keptMs
    const byAge = [...this.#ends].sort(([, a], [, b]) => a - b)
    const surplus = byAge.length - maxCount
    for (const [index, [key, endedTs]] of byAge.entries()) {
      if (index >= surplus && endedTs >= eldestTs) break
      this.#onOld(key)
    }
    if (this.#ends.size > 0) this.#sweepLater()
  }
}
