const firstMs = 1_000
const longestMs = 60_000
/** Part of the time waited so far that the next wait may take. */
const share = 0.5
/** What one try counts at least: those that follow each other at once must not keep the bound small for ever. */
const leastMs = 250

/**
 * Full-jitter exponential back-off: a random wait up to a bound that grows from 1 s to 60 s. The bound is half
 * of what was waited so far, so that a relay that was away for 10 s has everybody back 5 s after its return.
 */
export class Backoff {
  #waitedMs = 0

  /**
   * @param random - uniform in [0, 1)
   * @returns milliseconds to wait before the next try
   */
  next(random: () => number): number {
    const boundMs = Math.min(longestMs, Math.max(firstMs, this.#waitedMs * share))
    const waitMs = Math.floor(random() * boundMs)
    this.#waitedMs += Math.max(waitMs, leastMs)
    return waitMs
  }

  /** After a success: the next wait is short again. */
  reset(): void {
    this.#waitedMs = 0
  }
}
