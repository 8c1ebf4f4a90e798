/** A memory of ids. */
interface IdMemory {
  clear(): void
}

/** Bounds the bytes of the ids that are remembered of all agents: the memory that grew longest ago is cleared first. */
export class IdBudget {
  readonly #maxBytes: number
  /** In the order in which they grew last. */
  readonly #bytes = new Map<IdMemory, number>()
  #total = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Notes how many bytes a memory has now; 0 for one that is no longer used. */
  note(memory: IdMemory, bytes: number): void {
    this.#total += bytes - (this.#bytes.get(memory) ?? 0)
    this.#bytes.delete(memory)
    if (bytes > 0) this.#bytes.set(memory, bytes)
    for (const [oldest] of this.#bytes) {
      if (this.#total <= this.#maxBytes || oldest === memory) return
      oldest.clear()
    }
  }
}
