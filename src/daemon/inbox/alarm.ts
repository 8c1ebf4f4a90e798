import type { Clock, Timer } from "../../base/clock.js"

/** One timer that rings no later than the earliest time it was set to. */
export class InboxAlarm {
  readonly #clock: Clock
  readonly #onRing: () => void
  #timer: Timer | undefined
  #atMs = 0

  constructor(clock: Clock, onRing: () => void) {
    this.#clock = clock
    this.#onRing = onRing
  }

  /** @param atMs - monotonic. A later time than one already set changes nothing: who is woken early looks again. */
  set(atMs: number): void {
    if (this.#timer !== undefined && this.#atMs <= atMs) return
    this.cancel()
    this.#atMs = atMs
    const ring = () => {
      this.#timer = undefined
      this.#onRing()
    }
    const delayMs = Math.max(0, atMs - this.#clock.monotonic())
    this.#timer = this.#clock.setTimer(ring, delayMs, { unref: true })
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
