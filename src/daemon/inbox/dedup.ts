import { hash, randomBytes } from "node:crypto"

/** Hexadecimal digits of a hash that fit into the integer part of a number: 52 bits. */
const hashDigits = 13

/**
 * The ids of the messages in the inbox, to drop duplicates. Each id is kept as 52 bits of a keyed hash, in one of two
 * generations: less than half the memory of the strings, and no single deletions. The key keeps a sender from choosing
 * an id that hides somebody else's message; by chance, one in 10^11 messages would be taken for a duplicate.
 */
export class Dedup {
  readonly #key = randomBytes(16).toString("latin1")
  readonly #perGeneration: number
  #newer = new Set<number>()
  #older: ReadonlySet<number> = new Set()

  /** @param remembered - least number of the newest ids to know; up to twice as many are kept */
  constructor(remembered: number) {
    this.#perGeneration = remembered
  }

  /** Adds an id. @returns false if it was known */
  add(id: string): boolean {
    const digest = this.#digest(id)
    if (this.#older.has(digest) || this.#newer.has(digest)) return false
    this.#newer.add(digest)
    if (this.#newer.size >= this.#perGeneration) {
      this.#older = this.#newer
      this.#newer = new Set()
    }
    return true
  }

  has(id: string): boolean {
    const digest = this.#digest(id)
    return this.#newer.has(digest) || this.#older.has(digest)
  }

  #digest(id: string): number {
    return Number.parseInt(hash("sha256", this.#key + id, "hex").slice(0, hashDigits), 16)
  }
}
