import type { Clock, Timer } from "../base/clock.js"

/** How often the other side is asked for a sign of life. */
const periodMs = 20_000
/** How long it may take to give one. */
const answerMs = 10_000

/** What a keep-alive acts on. */
export interface KeepAliveHost {
  ping(): void
  /** No sign of life came in time. */
  dead(): void
}

/** Notices within 30 s a peer that is gone without a word; anything heard counts as an answer. */
export class KeepAlive {
  readonly #clock: Clock
  readonly #host: KeepAliveHost
  #timer: Timer | undefined
  #isHeard = false

  constructor(clock: Clock, host: KeepAliveHost) {
    this.#clock = clock
    this.#host = host
  }

  start(): void {
    this.stop()
    this.#watch()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  heard(): void {
    this.#isHeard = true
  }

  #watch(): void {
    // Whole multiples of the period: the sessions of one process wake it together.
    this.#wait(periodMs - (this.#clock.monotonic() % periodMs), () => {
      this.#isHeard = false
      this.#host.ping()
      this.#wait(answerMs, () => {
        if (this.#isHeard) this.#watch()
        else this.#host.dead()
      })
    })
  }

  #wait(delayMs: number, next: () => void): void {
    this.#timer = this.#clock.setTimer(next, delayMs, { unref: true })
  }
}
