/** A number of bytes that several owners share, so that their own bounds do not add up to more. */
export class ByteBudget {
  readonly #maxBytes: number
  #usedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Returns whether `bytes` more are left. */
  fits(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#maxBytes
  }

  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  /** Returns bytes that were taken before. */
  give(bytes: number): void {
    this.#usedBytes -= bytes
  }
}
