import { hash, randomBytes } from "node:crypto"
import type { IdBudget } from "./id-budget.js"

/** Ids remembered per agent: at least this many, at most twice as many. */
const maxIds = 4_096
/** Bytes of an id in a map, and ids after which they are counted again. */
const idBytes = 40
const countedIds = 64
/** Part of each hash, so that nobody can choose an id that looks like another one. */
const secret = randomBytes(16).toString("hex")

/** The bit of each stage that the agent reports. */
const stageBits = { rung: 1, retrieved: 2, in_context: 4 } as const
/** A stage of a delivery that the recipient reports. */
export type ReportedStage = keyof typeof stageBits

/**
 * The last messages and tasks that were sent to one agent, by hash. The agent may report each stage of one of them once,
 * also in a later session, and none before an earlier one: a message that a reader has is not rung for.
 */
export class DeliveredIds {
  /** By hash: the stages that were reported. */
  #young = new Map<number, number>()
  #old: ReadonlyMap<number, number> = new Map()
  #unread = 0
  readonly #budget: IdBudget | undefined

  /** @param budget - for the ids of all agents */
  constructor(budget?: IdBudget) {
    this.#budget = budget
  }

  /** Number of the messages that no reader has taken. */
  get unread(): number {
    return this.#unread
  }

  /** Adds a message, unless it was sent before. */
  add(id: string): void {
    const key = hashOf(id)
    if (this.#young.has(key)) return
    const stages = this.#old.get(key)
    if (stages === undefined) this.#unread++
    this.#set(key, stages ?? 0)
  }

  /** Reports whether a message was sent, as far as is remembered. */
  has(id: string): boolean {
    const key = hashOf(id)
    return this.#young.has(key) || this.#old.has(key)
  }

  /** Marks a message as having reached a stage. @returns false if it was not sent, or a later stage was marked before */
  mark(id: string, stage: ReportedStage): boolean {
    const key = hashOf(id)
    const stages = this.#young.get(key) ?? this.#old.get(key)
    const bit = stageBits[stage]
    if (stages === undefined || stages >= bit) return false
    if (stages < stageBits.retrieved && bit >= stageBits.retrieved) this.#unread--
    this.#set(key, stages | bit)
    return true
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#unread = 0
    this.#budget?.note(this, 0)
  }

  #set(key: number, stages: number): void {
    if (this.#young.size >= maxIds) {
      for (const [old, reached] of this.#old) {
        if (reached < stageBits.retrieved && !this.#young.has(old) && old !== key) this.#unread--
      }
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, stages)
    const count = this.#young.size + this.#old.size
    if (count % countedIds === 1) this.#budget?.note(this, (count + countedIds) * idBytes)
  }
}

/** Returns 31 bits, which V8 stores without an allocation. */
function hashOf(id: string): number {
  return hash("sha256", secret + id, "buffer").readUInt32BE() >>> 1
}
