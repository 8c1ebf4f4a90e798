import { EventEmitter } from "node:events"
import type { Backbone, Table } from "../../backbone/backbone.js"
import { type KnownRow, updateRow } from "../../backbone/update-row.js"
import type { Clock, Timer } from "../../base/clock.js"
import { isPlain } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"

/** Milliseconds between two writes: what a crash forgives at most. */
const writeMs = 3_000
/** Keys of the two rows: the state of one relay, and what operators lifted. */
const stateKey = "state"
const resetKey = "reset"
/** Resets kept in the row besides the last one: a relay may see several changes of it as one. */
const earlierKept = 32

interface GuardStoreOptions {
  readonly clock: Clock
  readonly log: (line: string) => void
}

interface GuardStoreEvents {
  /** Another relay of the same backbone lifted a scope; undefined: everything. */
  reset: [scope: string | undefined]
}

/** A scope that an operator lifted. */
interface Reset {
  /** Unique among all resets. */
  readonly id: string
  /** Absent: everything. */
  readonly scope?: string
}

/**
 * Saves the state of the guards, as one JSON document that is replaced every few seconds, and spreads resets among the
 * relays of one backbone. A relay in memory saves nothing.
 */
export class GuardStore extends EventEmitter<GuardStoreEvents> {
  readonly #table: Table
  readonly #options: GuardStoreOptions
  readonly #isSaved: boolean
  readonly #isShared: boolean
  /** The state found at the start, as parsed JSON; undefined if there was none. */
  readonly state: unknown
  /** Makes the document; absent if nothing has changed since the last write began. */
  #makeState: (() => string) | undefined
  #writing: Promise<void> | undefined
  #timer: Timer | undefined
  #isFailing = false
  /** Ids of the resets in the row as last seen, and of resets of this relay not seen there yet. */
  #seen = new Set<string>()
  readonly #own = new Set<string>()

  private constructor(table: Table, backbone: Backbone, state: unknown, options: GuardStoreOptions) {
    super()
    this.#table = table
    this.#isSaved = backbone.kind !== "memory"
    this.#isShared = backbone.isShared
    this.state = state
    this.#options = options
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: GuardStoreOptions): Promise<GuardStore> {
    const table = await backbone.table("guard")
    const row = backbone.kind === "memory" ? undefined : await table.get(stateKey)
    // Earlier versions saved the state in several rows.
    for (const { key } of await table.rows())
      if (key !== stateKey && key !== resetKey) await table.delete(key)
    const store = new GuardStore(table, backbone, row && parse(row.value), options)
    if (backbone.isShared) await store.#watchResets()
    return store
  }

  /** The state has changed; it is written soon. @param makeState - returns it as JSON */
  touch(makeState: () => string): void {
    this.#makeState = makeState
    this.#startTimer()
  }

  /** Tells the other relays that an operator lifted a scope. @throws {ChatError} UNAVAILABLE */
  async spreadReset(id: string, scope: string | undefined): Promise<void> {
    if (!this.#isShared) return
    this.#own.add(id)
    const add = (row: KnownRow | undefined) => {
      const earlier = row === undefined ? [] : readResets(row.value).slice(0, earlierKept)
      const value = JSON.stringify({ id, ...(scope !== undefined && { scope }), earlier })
      return { result: undefined, value }
    }
    await updateRow(this.#table, resetKey, add, { what: "scope" })
  }

  /** Writes what has changed. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
    if (this.#isSaved) await this.#write()
    this.#timer?.cancel()
  }

  #startTimer(): void {
    if (!this.#isSaved || this.#makeState === undefined) return
    if (this.#timer !== undefined || this.#writing !== undefined) return
    this.#timer = this.#options.clock.setTimer(() => void this.#write(), writeMs, { unref: true })
  }

  async #write(): Promise<void> {
    this.#timer = undefined
    const makeState = this.#makeState
    if (makeState === undefined) return
    this.#makeState = undefined
    this.#writing = this.#put(makeState)
    await this.#writing
    this.#writing = undefined
    this.#startTimer()
  }

  async #put(makeState: () => string): Promise<void> {
    try {
      await this.#table.put(stateKey, makeState())
      this.#isFailing = false
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) this.#options.log(`guard: the state cannot be saved now: ${error.message}`)
      this.#isFailing = true
      this.#makeState ??= makeState
    }
  }

  async #watchResets(): Promise<void> {
    let isOpen = false
    await this.#table.watch(({ key, value }) => {
      if (key !== resetKey || value === undefined) return
      const resets = readResets(value)
      const news = resets.filter(({ id }) => !this.#seen.has(id) && !this.#own.delete(id))
      this.#seen = new Set(resets.map(({ id }) => id))
      // Resets from before this relay opened are in the saved state already.
      if (isOpen) for (const { scope } of news.reverse()) this.emit("reset", scope)
    })
    isOpen = true
  }
}

/** Returns the resets in a row, the last one first. A malformed row must not lift everything. */
function readResets(text: string): Reset[] {
  const row = parse(text)
  if (!isReset(row)) return []
  const { earlier } = row as { readonly earlier?: unknown }
  return [row, ...(Array.isArray(earlier) ? earlier.filter(isReset) : [])]
}

function isReset(value: unknown): value is Reset {
  if (!isPlain(value)) return false
  const { id, scope } = value
  return typeof id === "string" && (scope === undefined || typeof scope === "string")
}

/** Parses JSON. Anything malformed counts as nothing: it was a count of minutes, or a day. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
