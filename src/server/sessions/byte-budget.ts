/** Bytes that several owners share, so that many small bounds do not add up to no bound. */
export class ByteBudget {
  readonly #maxBytes: number
  #usedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether `bytes` more would fit. */
  fits(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#maxBytes
  }

  /** Spends `bytes`, which {@link fits} has allowed. */
  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  /** Returns `bytes` taken before. */
  give(bytes: number): void {
    this.#usedBytes -= bytes
  }
}
