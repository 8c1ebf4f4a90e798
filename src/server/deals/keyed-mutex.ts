/** Has what concerns one thing done one after the other, and what concerns several side by side. */
export class KeyedMutex {
  /** The last of each thing. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Does something once all before it, of the same key, is done or has failed. */
  async take<T>(key: string, act: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(act, act)
    this.#last.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}
