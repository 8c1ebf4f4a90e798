import type { Clock, Timer } from "../base/clock.js"

/** Milliseconds between two pings. */
const periodMs = 20_000
/** Milliseconds in which something must arrive after a ping. */
const answerMs = 10_000

export interface KeepAliveHost {
  ping(): void
  /** Called if nothing arrived in time. */
  dead(): void
}

/** Detects within 30 s that the peer vanished. Anything that arrives counts as an answer. */
export class KeepAlive {
  readonly #clock: Clock
  readonly #host: KeepAliveHost
  #timer: Timer | undefined
  #isAnswered = false

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

  received(): void {
    this.#isAnswered = true
  }

  #watch(): void {
    // Rounded to the period, so that all sessions of a process wake it at the same time.
    this.#wait(periodMs - (this.#clock.monotonic() % periodMs), () => {
      this.#isAnswered = false
      this.#wait(answerMs, () => {
        if (this.#isAnswered) this.#watch()
        else this.#host.dead()
      })
      this.#host.ping()
    })
  }

  #wait(delayMs: number, next: () => void): void {
    this.#timer = this.#clock.setTimer(next, delayMs, { unref: true })
  }
}
