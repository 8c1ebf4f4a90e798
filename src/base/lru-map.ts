interface Entry<K, V> {
  readonly key: K
  value: V
  older: Entry<K, V> | undefined
  newer: Entry<K, V> | undefined
}

/**
 * A map of at most `bound` entries. Adding one more drops the least recently used entry.
 *
 * A linked list keeps the order, because deleting the first key of a `Map` again and again takes time in
 * proportion to the size of the map.
 */
export class LruMap<K, V> {
  readonly #bound: number
  readonly #onEvict: ((key: K, value: V) => void) | undefined
  readonly #entries = new Map<K, Entry<K, V>>()
  #oldest: Entry<K, V> | undefined
  #newest: Entry<K, V> | undefined

  /**
   * @param bound - number of entries kept, at least 1
   * @param onEvict - called with each entry that is dropped to make room; not for {@link delete} and {@link clear}
   */
  constructor(bound: number, onEvict?: (key: K, value: V) => void) {
    this.#bound = bound
    this.#onEvict = onEvict
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  /** Returns the value and marks it as the most recently used. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#touch(entry)
    return entry.value
  }

  /** Returns the value without marking it as used. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** Adds or replaces a value and marks it as the most recently used. */
  set(key: K, value: V): void {
    const known = this.#entries.get(key)
    if (known !== undefined) {
      known.value = value
      this.#touch(known)
      return
    }
    const oldest = this.#entries.size < this.#bound ? undefined : this.#oldest
    if (oldest !== undefined) {
      this.#entries.delete(oldest.key)
      this.#unlink(oldest)
    }
    const entry = { key, value, older: undefined, newer: undefined }
    this.#entries.set(key, entry)
    this.#append(entry)
    if (oldest !== undefined) this.#onEvict?.(oldest.key, oldest.value)
  }

  /** @returns false if the key is unknown */
  delete(key: K): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    this.#entries.delete(key)
    this.#unlink(entry)
    return true
  }

  clear(): void {
    this.#entries.clear()
    this.#oldest = undefined
    this.#newest = undefined
  }

  /** Yields all entries, least recently used first. The current entry may be deleted on the way. */
  *[Symbol.iterator](): Generator<[K, V], undefined> {
    let entry = this.#oldest
    while (entry !== undefined) {
      const { key, value, newer } = entry
      yield [key, value]
      entry = newer
    }
  }

  /** Yields all entries, most recently used first. */
  *newestFirst(): Generator<[K, V], undefined> {
    for (let entry = this.#newest; entry !== undefined; entry = entry.older) yield [entry.key, entry.value]
  }

  #touch(entry: Entry<K, V>): void {
    if (entry === this.#newest) return
    this.#unlink(entry)
    this.#append(entry)
  }

  #append(entry: Entry<K, V>): void {
    entry.older = this.#newest
    entry.newer = undefined
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  #unlink(entry: Entry<K, V>): void {
    if (entry.older === undefined) this.#oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
  }
}
