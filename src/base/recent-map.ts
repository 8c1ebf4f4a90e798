interface Entry<V> {
  readonly key: string
  readonly value: V
  /** Another key with the same hash. */
  readonly next: Entry<V> | undefined
}

/**
 * The entries added last: at least `count` of them, at most twice as many. There are two generations, and the older
 * one is dropped as a whole, which costs a tenth of deleting the oldest entry with each new one.
 *
 * The maps are keyed by our own hash. Nearly every key is new, and to find that out a map keyed by strings compares it
 * with several old ones, which are seldom in the processor's cache.
 */
export class RecentMap<V> {
  readonly #count: number
  #young = new Map<number, Entry<V>>()
  #old: ReadonlyMap<number, Entry<V>> | undefined
  #size = 0

  constructor(count: number) {
    this.#count = count
  }

  get(key: string): V | undefined {
    const hash = hashOf(key)
    return (findIn(this.#young.get(hash), key) ?? findIn(this.#old?.get(hash), key))?.value
  }

  /** Adds or replaces a value. */
  set(key: string, value: V): void {
    if (this.#size >= this.#count) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    const hash = hashOf(key)
    this.#young.set(hash, { key, value, next: this.#young.get(hash) })
    this.#size++
  }

  clear(): void {
    this.#young = new Map()
    this.#old = undefined
    this.#size = 0
  }

  /** Yields all entries, newest first. */
  *newestFirst(): Generator<[string, V], undefined> {
    for (const generation of [this.#young, this.#old ?? []])
      for (const [, { key, value }] of [...generation].reverse()) yield [key, value]
  }
}

function findIn<V>(first: Entry<V> | undefined, key: string): Entry<V> | undefined {
  for (let entry = first; entry !== undefined; entry = entry.next) {
    if (entry.key === key) return entry
  }
  return undefined
}

/** FNV-1a, reduced to the 31 bits that V8 stores without an allocation. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return hash >>> 1
}
