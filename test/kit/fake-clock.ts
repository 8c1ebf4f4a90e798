import type { Clock, Timer } from "../../src/base/clock.js"

interface Alarm {
  readonly dueMs: number
  readonly fn: () => void
}

/** A clock that moves only when a test advances it. */
export class FakeClock implements Clock {
  readonly #alarms = new Set<Alarm>()
  readonly #startMs: number
  #nowMs = 0

  /** @param startMs - wall-clock time at the beginning, milliseconds since the Unix epoch */
  constructor(startMs = 1_800_000_000_000) {
    this.#startMs = startMs
  }

  now(): number {
    return this.#startMs + this.#nowMs
  }

  monotonic(): number {
    return this.#nowMs
  }

  setTimer(fn: () => void, delayMs: number): Timer {
    const alarm = { dueMs: this.#nowMs + delayMs, fn }
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm) }
  }

  /** Returns milliseconds until each pending timer, soonest first. */
  get pending(): readonly number[] {
    return [...this.#alarms].map(({ dueMs }) => dueMs - this.#nowMs).sort((a, b) => a - b)
  }

  /** Advances by `ms`; timers that become due run in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = [...this.#alarms]
        .filter(({ dueMs }) => dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0]
      if (next === undefined) break
      this.#alarms.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.fn()
    }
    this.#nowMs = endMs
  }
}
