const firstMs = 1_000
const longestMs = 60_000

/** Full-jitter exponential back-off: a random wait up to a bound that doubles from 1 s to 60 s. */
export class Backoff {
  #boundMs = firstMs

  /**
   * @param random - uniform in [0, 1)
   * @returns milliseconds to wait before the next try
   */
  next(random: () => number): number {
    const waitMs = Math.floor(random() * this.#boundMs)
    this.#boundMs = Math.min(this.#boundMs * 2, longestMs)
    return waitMs
  }

  /** After a success: the next wait is short again. */
  reset(): void {
    this.#boundMs = firstMs
  }
}
