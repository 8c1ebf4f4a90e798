import { hash, randomBytes } from "node:crypto"
import type { IdBudget } from "./id-budget.js"

/** Ids remembered per agent: at least this many, at most twice as many. */
const maxIds = 4_096
/** Bytes of an id in a map, and ids after which they are counted again. */
const idBytes = 40
const countedIds = 64
/** Part of each hash, so that nobody can choose an id that looks like another one. */
const secret = randomBytes(16).toString("hex")

/**
 * The last messages and tasks that were sent to one agent, by hash. The agent may report once that a reader took one of
 * them, also in a later session.
 */
export class DeliveredIds {
  /** By hash: whether a reader was reported. */
  #young = new Map<number, boolean>()
  #old: ReadonlyMap<number, boolean> = new Map()
  readonly #budget: IdBudget | undefined

  /** @param budget - for the ids of all agents */
  constructor(budget?: IdBudget) {
    this.#budget = budget
  }

  /** Adds a message, unless it was sent before. */
  add(id: string): void {
    const key = hashOf(id)
    if (!this.#young.has(key)) this.#set(key, this.#old.get(key) ?? false)
  }

  /** Marks a message as read. @returns false if it was not sent, or was marked before */
  markRead(id: string): boolean {
    const key = hashOf(id)
    const isRead = this.#young.get(key) ?? this.#old.get(key) ?? true
    if (!isRead) this.#set(key, true)
    return !isRead
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#budget?.note(this, 0)
  }

  #set(key: number, isRead: boolean): void {
    if (this.#young.size >= maxIds) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, isRead)
    const count = this.#young.size + this.#old.size
    if (count % countedIds === 1) this.#budget?.note(this, (count + countedIds) * idBytes)
  }
}

/** Returns 31 bits, which V8 stores without an allocation. */
function hashOf(id: string): number {
  return hash("sha256", secret + id, "buffer").readUInt32BE() >>> 1
}
