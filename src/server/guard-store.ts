import type { Backbone, Table } from "../backbone/backbone.js"
import type { Clock, Timer } from "../base/clock.js"
import type { GuardState } from "../guards/guard.js"
import { isPlain } from "../guards/plain.js"
import { ChatError } from "../protocol/errors.js"

/** Milliseconds between two writes, and for each character of the state: what is large is written less often. */
const writeMs = 1_000
const charactersPerMs = 64
/** Rows of the state, each of them less than a store takes at once. */
const parts = ["lineage", "rooms", "layers"] as const
/** Row that tells other relays what an operator lifted. */
const resetKey = "reset"

/** What an operator lifted, as relays tell each other. */
interface Reset {
  readonly id: string
  readonly scope?: string
}

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
  readonly #resets = new Set<string>()
  /** The state as it was read at the start; undefined: there was none. */
  readonly state: unknown
  #save: (() => GuardState) | undefined
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
    if (backbone.isShared) await store.#listen()
    return store
  }

  /** Something was counted: it is written soon. @param save - gives the state when it is */
  touch(save: () => GuardState): void {
    this.#save = save
    if (!this.#isKept || this.#timer !== undefined) return
    const { clock } = this.#options
    const waitMs = Math.max(0, this.#nextMs - clock.monotonic(), writeMs)
    this.#timer = clock.setTimer(() => void this.#write(), waitMs, { unref: true })
  }

  /** Tells the other relays that an operator has lifted something. @throws {ChatError} UNAVAILABLE */
  async tellReset(id: string, scope: string | undefined): Promise<void> {
    this.#resets.add(id)
    const reset: Reset = { id, ...(scope !== undefined && { scope }) }
    await this.#table.put(resetKey, JSON.stringify(reset))
  }

  /** What was counted up to now is kept. */
  async close(): Promise<void> {
    if (this.#timer === undefined) return
    this.#timer.cancel()
    await this.#write()
  }

  async #write(): Promise<void> {
    const { clock, log } = this.#options
    this.#timer = undefined
    const state = this.#save?.()
    if (state === undefined) return
    try {
      let characters = 0
      for (const part of parts) {
        const value = JSON.stringify(state[part])
        if (this.#written.get(part) === value) continue
        await this.#table.put(part, value)
        this.#written.set(part, value)
        characters += value.length
      }
      this.#nextMs = clock.monotonic() + characters / charactersPerMs
      this.#isFailing = false
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) log(`what the guards counted is not kept now: ${error.message}`)
      this.#isFailing = true
      if (this.#save !== undefined) this.touch(this.#save)
    }
  }

  /** What was lifted before this relay started is no news. */
  async #listen(): Promise<void> {
    let isNew = false
    await this.#table.watch(({ key, value }) => {
      if (key !== resetKey || value === undefined || !isNew) return
      const reset = readPart(value)
      if (isReset(reset) && !this.#resets.delete(reset.id)) this.#options.onReset(reset.scope)
    })
    isNew = true
  }
}

async function readState(table: Table): Promise<unknown> {
  const rows = new Map((await table.rows()).map(({ key, value }) => [key, value]))
  const entries = parts.map((part) => [part, readPart(rows.get(part))])
  return { v: 1, ...(Object.fromEntries(entries) as object) }
}

/** What is none must not lift everything. */
function isReset(value: unknown): value is Reset {
  if (!isPlain(value)) return false
  const { id, scope } = value
  return typeof id === "string" && (scope === undefined || typeof scope === "string")
}

/** What cannot be read is as good as nothing: it was counted for minutes, or a day. */
function readPart(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}
