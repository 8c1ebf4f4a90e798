/** A rate limit: `ratePerSecond` in the long run, `burst` at once after a pause. */
export interface Rate {
  readonly ratePerSecond: number
  readonly burst: number
}

/** The answer of {@link Gcra.take}: it passes now, or may try again later. */
export type Passage = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number }

/** The answer of {@link Gcra.admit}: it passes after a wait, or may try again later. */
export type Admission =
  | { readonly ok: true; readonly waitMs: number }
  | { readonly ok: false; readonly retryAfterMs: number }

const passed: Passage = { ok: true }
const admittedAtOnce: Admission = { ok: true, waitMs: 0 }

/** Fractions of a cell lost to rounding stay below this; without it the last of a burst is refused. */
const roundingCells = 1e-6

/**
 * Generic cell rate algorithm (ITU-T I.371, annex A) in its second form, the continuous-state leaky bucket:
 * two numbers instead of a counter and a refill timer. The first form keeps a time instead of a level and
 * loses the fractions of fast rates once a process has run for days.
 */
export class Gcra {
  readonly #cellsPerMs: number
  readonly #burst: number
  #level = 0
  #levelAtMs = 0

  constructor(rate: Rate) {
    this.#cellsPerMs = rate.ratePerSecond / 1000
    this.#burst = rate.burst
  }

  /**
   * Takes `cost` cells, or takes nothing and returns when to try again.
   * @param nowMs - monotonic milliseconds, never less than in the call before
   * @param cost - at most the burst; more never passes
   */
  take(nowMs: number, cost = 1): Passage {
    const level = this.#drainedTo(nowMs) + cost
    const waitMs = this.#waitMs(level)
    if (waitMs > 0) return { ok: false, retryAfterMs: waitMs }
    this.#level = level
    this.#levelAtMs = nowMs
    return passed
  }

  /**
   * Returns how much of the burst is used, how long the next cell would wait, and after how many milliseconds nothing is
   * used; changes nothing.
   */
  usage(nowMs: number): { readonly used: number; readonly nextInMs: number; readonly freeInMs?: number } {
    const level = this.#drainedTo(nowMs)
    const used = Math.min(Math.max(0, Math.ceil(level - roundingCells)), this.#burst)
    const nextInMs = this.#waitMs(level + 1)
    return used > 0 ? { used, nextInMs, freeInMs: Math.ceil(level / this.#cellsPerMs) } : { used, nextInMs }
  }

  /**
   * Takes `cost` cells, to pass after `waitMs`; later ones wait behind them. Takes nothing if that would be longer than
   * `patienceMs`. A cost above the burst passes once nothing is used, and delays the next one longer.
   * @param nowMs - as for {@link take}
   */
  admit(nowMs: number, cost: number, patienceMs: number): Admission {
    const level = this.#drainedTo(nowMs)
    const waitMs = this.#waitMs(level + Math.min(cost, this.#burst))
    if (waitMs > patienceMs) return { ok: false, retryAfterMs: waitMs }
    this.#level = level + cost
    this.#levelAtMs = nowMs
    return waitMs === 0 ? admittedAtOnce : { ok: true, waitMs }
  }

  /** Takes `cost` cells whatever is left, so that later ones wait; never more than `cost` beyond the burst. */
  charge(nowMs: number, cost: number): void {
    this.#level = Math.min(this.#drainedTo(nowMs), this.#burst) + cost
    this.#levelAtMs = nowMs
  }

  /** Returns cells that were admitted but did not pass. */
  giveBack(cost: number): void {
    this.#level = Math.max(0, this.#level - cost)
  }

  /** Returns the milliseconds until a level is no more than the burst. */
  #waitMs(level: number): number {
    const excess = level - this.#burst
    return excess > roundingCells ? Math.ceil((excess - roundingCells / 2) / this.#cellsPerMs) : 0
  }

  /** Returns the cells taken that have not drained at `nowMs`. */
  #drainedTo(nowMs: number): number {
    return Math.max(0, this.#level - (nowMs - this.#levelAtMs) * this.#cellsPerMs)
  }
}

/** Returns the cells a message costs: one, and one more for every `bytesPerCell`. */
export function messageCost(bytes: number, bytesPerCell: number): number {
  return 1 + Math.floor(bytes / bytesPerCell)
}
