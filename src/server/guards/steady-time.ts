import type { Clock } from "../../base/clock.js"

/** How far ahead of the clock the last time of a store may be, in milliseconds, before nothing of it is believed. */
const mostAheadMs = 86_400_000

/**
 * Wall-clock time that never goes back. Whoever sets a clock back by a day must not lengthen what is stopped by a day:
 * from then on this time is ahead of the clock by as much, and goes on as fast.
 */
export class SteadyTime {
  readonly #clock: Clock
  #aheadMs = 0
  #lastTs: number

  /** @param lastTs - the last time of a process before this one, milliseconds since the Unix epoch */
  constructor(clock: Clock, lastTs: number) {
    this.#clock = clock
    this.#lastTs = lastTs
  }

  /** Whether a store can have been written by `lastTs`: a clock was wrong by far, or somebody wrote what is no time. */
  static isCredible(clock: Clock, lastTs: number): boolean {
    return lastTs - clock.now() <= mostAheadMs
  }

  /** Milliseconds since the Unix epoch, or ahead of that. */
  now(): number {
    const ts = this.#clock.now() + this.#aheadMs
    if (ts < this.#lastTs) this.#aheadMs += this.#lastTs - ts
    this.#lastTs = Math.max(ts, this.#lastTs)
    return this.#lastTs
  }
}
