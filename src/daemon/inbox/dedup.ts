import { hash, randomBytes } from "node:crypto"

const initialSlots = 256
/** Linear probing stays short while a quarter of the slots is free. */
const maxLoad = 0.75

/**
 * The ids of the messages in the inbox, to drop duplicates. Each id is kept as 64 bits of a keyed hash in one of two
 * generations of a hash table: 16 bytes per id instead of 100 in a set of strings, and no single deletions. The key
 * keeps a sender from choosing an id that hides somebody else's message; by chance, one in 10^14 messages would be
 * taken for a duplicate.
 */
export class Dedup {
  readonly #key = randomBytes(16).toString("latin1")
  readonly #perGeneration: number
  #newer = new HashTable()
  #older = new HashTable()

  /** @param remembered - least number of the newest ids to know; up to twice as many are kept */
  constructor(remembered: number) {
    this.#perGeneration = remembered
  }

  /** Adds an id. @returns false if it was known */
  add(id: string): boolean {
    const digest = this.#digest(id)
    if (this.#older.has(digest) || !this.#newer.add(digest)) return false
    if (this.#newer.size >= this.#perGeneration) {
      this.#older = this.#newer
      this.#newer = new HashTable()
    }
    return true
  }

  has(id: string): boolean {
    const digest = this.#digest(id)
    return this.#newer.has(digest) || this.#older.has(digest)
  }

  #digest(id: string): string {
    return hash("sha256", this.#key + id, "binary")
  }
}

/** A set of 64-bit numbers with open addressing. A slot is two 32-bit cells; a free one holds zeros. */
class HashTable {
  #cells = new Uint32Array(initialSlots * 2)
  size = 0

  has(digest: string): boolean {
    return this.#cells[this.#find(word(digest, 0), word(digest, 4))] !== 0
  }

  /** @returns false if it was present */
  add(digest: string): boolean {
    if ((this.size + 1) * 2 > this.#cells.length * maxLoad) this.#grow()
    const high = word(digest, 0)
    const low = word(digest, 4)
    const at = this.#find(high, low)
    if (this.#cells[at] !== 0) return false
    this.#cells[at] = high
    this.#cells[at + 1] = low
    this.size++
    return true
  }

  /** Returns the index of the slot that holds this number, or of the free slot where it belongs. */
  #find(high: number, low: number): number {
    const cells = this.#cells
    const mask = cells.length - 1
    let at = (low << 1) & mask
    while (cells[at] !== 0 && (cells[at] !== high || cells[at + 1] !== low)) at = (at + 2) & mask
    return at
  }

  #grow(): void {
    const old = this.#cells
    this.#cells = new Uint32Array(old.length * 2)
    for (let i = 0; i < old.length; i += 2) {
      const high = old[i] ?? 0
      const low = old[i + 1] ?? 0
      if (high === 0) continue
      const at = this.#find(high, low)
      this.#cells[at] = high
      this.#cells[at + 1] = low
    }
  }
}

/** Reads four bytes of a digest as a number that is never 0, because 0 marks a free slot. */
function word(digest: string, at: number): number {
  const value =
    digest.charCodeAt(at) |
    (digest.charCodeAt(at + 1) << 8) |
    (digest.charCodeAt(at + 2) << 16) |
    (digest.charCodeAt(at + 3) << 24)
  return value >>> 0 || 1
}
