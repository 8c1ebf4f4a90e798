/**
 * What was touched last, by key: a map that forgets its oldest entries instead of growing. Values are plain JSON and
 * are replaced, never changed.
 */
export class Recent<V> {
  readonly #entries = new Map<string, V>()
  readonly #count: number
  readonly #saved: number

  /**
   * @param count - entries kept
   * @param saved - characters of {@link save} at most
   */
  constructor(count: number, saved: number) {
    this.#count = count
    this.#saved = saved
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** Keeps `value`, as the newest. */
  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#count) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  /** Every entry, oldest first. */
  entries(): [string, V][] {
    return [...this.#entries]
  }

  /** The entries as JSON, oldest first; as many of the newest as there is room for. */
  save(): [string, V][] {
    const entries = this.entries()
    let room = this.#saved
    let first = entries.length
    for (; first > 0; first--) {
      room -= JSON.stringify(entries[first - 1]).length + 1
      if (room < 0) break
    }
    return entries.slice(first)
  }

  /** Takes over what {@link save} gave, of it what `isValue` knows. */
  load(state: unknown, isValue: (value: unknown) => value is V): void {
    if (!Array.isArray(state)) return
    for (const entry of state as unknown[]) {
      if (!Array.isArray(entry)) continue
      const [key, value] = entry as unknown[]
      if (typeof key === "string" && isValue(value)) this.set(key, value)
    }
  }
}
