const firstMs = 1_000
const longestMs = 60_000
/** The bound of the next wait as a fraction of the total time waited so far. */
const share = 0.5
/** The least an attempt adds to the total: retries without a wait must not keep the bound low. */
const leastMs = 250

/**
 * Full-jitter exponential backoff: each wait is random up to a bound that grows from 1 s to 60 s. The bound is half the
 * total time waited so far, so after a relay was away for 10 s, all its clients are back within 5 s.
 */
export class Backoff {
  #waitedMs = 0

  /**
   * Returns the milliseconds to wait before the next attempt.
   * @param random - uniform in [0, 1)
   */
  next(random: () => number): number {
    const boundMs = Math.min(longestMs, Math.max(firstMs, this.#waitedMs * share))
    const waitMs = Math.floor(random() * boundMs)
    this.#waitedMs += Math.max(waitMs, leastMs)
    return waitMs
  }

  reset(): void {
    this.#waitedMs = 0
  }
}
