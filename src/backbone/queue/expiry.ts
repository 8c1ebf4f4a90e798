import type { Clock, Timer } from "../../base/clock.js"

/** Time for which the end of a task is remembered, so that a task that is sent again is not done twice. */
const retentionMs = 3_600_000
/** Most ends remembered; the oldest are forgotten first. */
const maxEnded = 10_000
const sweepMs = retentionMs / 10

/** Timers of tasks, which fire by the monotonic clock of this relay: when a lease ends, or when a task expires. */
export class TaskTimers {
  readonly #clock: Clock
  readonly #onEnd: (key: string) => void
  readonly #timers = new Map<string, Timer>()
  #isClosed = false

  constructor(clock: Clock, onEnd: (key: string) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  /** Sets the lease of a key to end after `ms`; replaces an earlier one. */
  start(key: string, ms: number): void {
    this.cancel(key)
    if (this.#isClosed) return
    const end = () => {
      this.#timers.delete(key)
      this.#onEnd(key)
    }
    this.#timers.set(key, this.#clock.setTimer(end, ms, { unref: true }))
  }

  has(key: string): boolean {
    return this.#timers.has(key)
  }

  cancel(key: string): void {
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
  }

  /** Cancels every timer; no lease ends after this. */
  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }
}

/** When the tasks of a queue ended. Reports those that may be forgotten. */
export class EndedTasks {
  readonly #clock: Clock
  readonly #onExpired: (key: string) => void
  readonly #ends = new Map<string, number>()
  #timer: Timer | undefined
  #isClosed = false

  /**
   * @param onExpired - called for each end that is older than an hour, or one of too many; again at every sweep until
   * it is {@link forget forgotten}
   */
  constructor(clock: Clock, onExpired: (key: string) => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** @param endedTs - milliseconds since the Unix epoch */
  remember(key: string, endedTs: number): void {
    this.#ends.set(key, endedTs)
    this.#scheduleSweep()
  }

  /** Does nothing for an unknown key. */
  forget(key: string): void {
    this.#ends.delete(key)
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #scheduleSweep(): void {
    if (this.#isClosed) return
    this.#timer ??= this.#clock.setTimer(() => this.#sweep(), sweepMs, { unref: true })
  }

  #sweep(): void {
    this.#timer = undefined
    const oldestTs = this.#clock.now() - retentionMs
    const byAge = [...this.#ends].sort(([, a], [, b]) => a - b)
    const surplus = byAge.length - maxEnded
    if (byAge.length > 0) this.#scheduleSweep()
    for (const [index, [key, endedTs]] of byAge.entries()) {
      if (index >= surplus && endedTs >= oldestTs) break
      this.#onExpired(key)
    }
  }
}
