import { randomUUID } from "node:crypto"
import { EventEmitter } from "node:events"
import type { Backbone, Table } from "../../backbone/backbone.js"
import { type KnownRow, updateRow } from "../../backbone/update-row.js"
import type { Clock, Timer } from "../../base/clock.js"
import { isPlain } from "../../base/plain.js"
import type { Stop } from "../../guards/stops.js"
import { ChatError } from "../../protocol/errors.js"

/** Milliseconds between two writes: what a crash forgives at most. */
const writeMs = 3_000
/** Keys of the rows: the state of one relay, what operators lifted, and what each relay has stopped. */
const stateKey = "state"
const resetKey = "reset"
const stopsPrefix = "stops-"
/** Stops of one relay that the others can list. */
const stopsListed = 1_000
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
 * Saves the state of the guards, as one JSON document that is replaced every few seconds. Relays of one backbone learn
 * of each other's resets, and can list each other's stops. A relay in memory saves nothing.
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
  readonly #stopsKey = stopsPrefix + randomUUID()
  /** The stops of this relay as they were written last. */
  #stopsWritten = "[]"
  #listStops: () => readonly Stop[] = () => []

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
    for (const { key, value } of await table.rows()) {
      const isCurrent = key.startsWith(stopsPrefix) && stopsIn(value, options.clock.now()).length > 0
      if (key !== stateKey && key !== resetKey && !isCurrent) await table.delete(key)
    }
    const store = new GuardStore(table, backbone, row && parse(row.value), options)
    if (backbone.isShared) await store.#watchResets()
    return store
  }

  /**
   * The state has changed; it is written soon.
   * @param makeState - returns it as JSON
   * @param listStops - returns the stops in force
   */
  touch(makeState: () => string, listStops: () => readonly Stop[]): void {
    this.#makeState = makeState
    this.#listStops = listStops
    this.#startTimer()
  }

  /** Returns what the other relays of the backbone have stopped, as of a few seconds ago. @throws {ChatError} UNAVAILABLE */
  async remoteStops(): Promise<readonly Stop[]> {
    if (!this.#isShared) return []
    const rows = await this.#table.rows()
    const now = this.#options.clock.now()
    const others = rows.filter(({ key }) => key.startsWith(stopsPrefix) && key !== this.#stopsKey)
    return others.flatMap(({ value }) => stopsIn(value, now))
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
    try {
      await this.#writing
    } finally {
      this.#writing = undefined
      this.#startTimer()
    }
  }

  async #put(makeState: () => string): Promise<void> {
    try {
      await this.#table.put(stateKey, makeState())
      if (this.#isShared) await this.#putStops()
      this.#isFailing = false
    } catch (error) {
      this.#makeState ??= makeState
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) this.#options.log(`guard: the state cannot be saved now: ${error.message}`)
      this.#isFailing = true
    }
  }

  async #putStops(): Promise<void> {
    const value = JSON.stringify(this.#listStops().slice(-stopsListed))
    if (value === this.#stopsWritten) return
    await this.#table.put(this.#stopsKey, value)
    this.#stopsWritten = value
  }

  async #watchResets(): Promise<void> {
    let isOpen = false
    await this.#table.watch(({ key, value }) => {
      if (key !== resetKey || value === undefined) return
      const resets = readResets(value)
      const news = resets.filter(({ id }) => !this.#seen.has(id) && !this.#own.delete(id))
      this.#seen = new Set(resets.map(({ id }) => id))
      // Resets from before this relay opened are in the saved state already.
      if (!isOpen || news.length === 0) return
      for (const { scope } of news.reverse()) this.emit("reset", scope)
      // The operator may list the stops next.
      this.#timer?.cancel()
      this.#timer = undefined
      if (this.#writing === undefined) void this.#write()
    })
    isOpen = true
  }
}

/** Returns the stops in a row that are still in force. */
function stopsIn(text: string, now: number): Stop[] {
  const stops = parse(text)
  return Array.isArray(stops) ? (stops as Stop[]).filter(({ untilMs }) => untilMs > now) : []
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
