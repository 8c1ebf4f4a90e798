import type { Backbone, Table } from "../../backbone/backbone.js"
import type { Clock, Timer } from "../../base/clock.js"
import { Guard } from "../../guards/guard.js"
import { ChatError } from "../../protocol/errors.js"
import { GuardResets } from "./guard-resets.js"

/**
 * Milliseconds between two writes, and characters of the state for each: what is large is written less often. A crash
 * forgives what was counted since the last write: 1 s of it, or 2 s where the state is as large as it gets.
 */
const writeMs = 1_000
const charactersPerMs = 512

/** What a store needs. */
interface GuardStoreOptions {
  readonly clock: Clock
  readonly log: (line: string) => void
  /** Another relay of the same store has lifted this; undefined: everything. */
  readonly onReset: (scope: string | undefined) => void
}

/** What the guards have counted, kept so that a restart forgives nothing; of a relay in memory it is not kept. */
export class GuardStore {
  readonly #table: Table
  readonly #options: GuardStoreOptions
  readonly #isKept: boolean
  /** Only where other relays share the store. */
  #resets: GuardResets | undefined
  /** The state as it was read at the start; undefined: there was none. */
  readonly state: unknown
  #parts: Guard["parts"] = new Map()
  /** Something was counted since the last write began. */
  #isTouched = false
  #writing: Promise<void> | undefined
  #timer: Timer | undefined
  #written = new Map<string, string>()
  #isFailing = false
  #nextMs = -Infinity

  private constructor(table: Table, isKept: boolean, state: unknown, options: GuardStoreOptions) {
    this.#table = table
    this.#isKept = isKept
    this.state = state
    this.#options = options
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: GuardStoreOptions): Promise<GuardStore> {
    const table = await backbone.table("guard")
    const isKept = backbone.kind !== "memory"
    const store = new GuardStore(table, isKept, isKept ? await readState(table) : undefined, options)
    if (backbone.isShared) store.#resets = await GuardResets.open(table, options.onReset)
    return store
  }

  /** Something was counted: it is written soon. @param parts - rows of the state, each with what makes it then */
  touch(parts: Guard["parts"]): void {
    this.#parts = parts
    this.#isTouched = true
    if (!this.#isKept || this.#timer !== undefined || this.#writing !== undefined) return
    const { clock } = this.#options
    const waitMs = Math.max(0, this.#nextMs - clock.monotonic(), writeMs)
    this.#timer = clock.setTimer(() => void this.#write(), waitMs, { unref: true })
  }

  /** Tells the other relays that an operator has lifted something. @throws {ChatError} UNAVAILABLE */
  async tellReset(id: string, scope: string | undefined): Promise<void> {
    await this.#resets?.tell(id, scope)
  }

  /** What was counted up to now is kept. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
    if (this.#isKept && this.#isTouched) await this.#write()
    this.#timer?.cancel()
  }

  async #write(): Promise<void> {
    this.#timer = undefined
    this.#writing = this.#writeParts()
    try {
      await this.#writing
    } finally {
      this.#writing = undefined
    }
    if (this.#isTouched) this.touch(this.#parts)
  }

  async #writeParts(): Promise<void> {
    const { clock, log } = this.#options
    this.#isTouched = false
    try {
      let characters = 0
      for (const [key, make] of this.#parts) {
        let value = make()
        for (; value === undefined; value = make()) await nextTick()
        if (this.#written.get(key) !== value) {
          await this.#table.put(key, value)
          this.#written.set(key, value)
          characters += value.length
        }
        // All parts at once would keep everybody waiting.
        await nextTick()
      }
      this.#nextMs = clock.monotonic() + characters / charactersPerMs
      this.#isFailing = false
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) log(`what the guards counted is not kept now: ${error.message}`)
      this.#isFailing = true
      this.#isTouched = true
    }
  }
}

async function readState(table: Table): Promise<unknown> {
  const rows = await table.rows()
  return Guard.joinParts(new Map(rows.map(({ key, value }) => [key, readPart(value)])))
}

/** What cannot be read is as good as nothing: it was counted for minutes, or a day. */
function readPart(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Lets everything else that waits go first. */
function nextTick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
