import type { Subscription, Table } from "../../backbone/backbone.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import { formatRecord, parseRecord, type RosterRecord } from "./roster-record.js"

/** Milliseconds for which changes of one agent are gathered. */
const gatherMs = 50
/** Milliseconds after which what could not be written is tried again. */
const retryMs = 1_000
/** Writes under way at once. */
const maxWrites = 64

/** What is to be written of an agent; null: its row is to go. */
type Wish = RosterRecord | null

/**
 * The table of agents, written behind: a change is gathered with those that follow it, each agent has at most
 * one write under way, and what cannot be written now is written later, as it is then.
 */
export class RosterStore {
  readonly #table: Table
  readonly #clock: Clock
  readonly #log: (line: string) => void
  readonly #wishes = new Map<AgentId, Wish>()
  readonly #writing = new Map<AgentId, Promise<void>>()
  #timer: Timer | undefined
  #isFailing = false
  #isHurried = false

  constructor(table: Table, clock: Clock, log: (line: string) => void) {
    this.#table = table
    this.#clock = clock
    this.#log = log
  }

  /** Every record there is. @throws {ChatError} UNAVAILABLE */
  async records(): Promise<RosterRecord[]> {
    const records: RosterRecord[] = []
    for (const { key, value } of await this.#table.rows()) {
      const record = parseRecord(key, value)
      if (record !== undefined) records.push(record)
    }
    return records
  }

  /** The record of one agent as it stands now. @throws {ChatError} UNAVAILABLE */
  async find(id: AgentId): Promise<RosterRecord | undefined> {
    const row = await this.#table.get(id.slice(1))
    return row && parseRecord(row.key, row.value)
  }

  /** Tells every record, resolves, and then tells every change; undefined: the row is gone, or unreadable. */
  watch(listener: (id: AgentId, record: RosterRecord | undefined) => void): Promise<Subscription> {
    return this.#table.watch(({ key, value }) => {
      listener(`@${key}` as AgentId, value === undefined ? undefined : parseRecord(key, value))
    })
  }

  /** Has a record written, soon. */
  put(record: RosterRecord): void {
    this.#wish(record.id, record)
  }

  /** Has a row deleted, soon. */
  remove(id: AgentId): void {
    this.#wish(id, null)
  }

  /** Writes what was gathered at the end of this turn, unless the store has failed. */
  hurry(): void {
    if (this.#isFailing || this.#isHurried) return
    this.#isHurried = true
    queueMicrotask(() => {
      this.#isHurried = false
      this.#writeMore()
    })
  }

  /** Writes all that was gathered, once; what fails now stays unwritten. */
  async flush(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    while (this.#wishes.size > 0 || this.#writing.size > 0) {
      this.#writeMore()
      await Promise.all(this.#writing.values())
      if (this.#isFailing) return
    }
  }

  #wish(id: AgentId, wish: Wish): void {
    this.#wishes.set(id, wish)
    this.#later(gatherMs)
  }

  #later(delayMs: number): void {
    this.#timer ??= this.#clock.setTimer(
      () => {
        this.#timer = undefined
        this.#writeMore()
      },
      delayMs,
      { unref: true },
    )
  }

  #writeMore(): void {
    for (const [id, wish] of this.#wishes) {
      if (this.#writing.size >= maxWrites) return
      if (this.#writing.has(id)) continue
      this.#wishes.delete(id)
      const writing = this.#write(id, wish).then((isWritten) => {
        this.#writing.delete(id)
        if (this.#wishes.size > 0) this.#later(isWritten ? gatherMs : retryMs)
      })
      this.#writing.set(id, writing)
    }
  }

  async #write(id: AgentId, wish: Wish): Promise<boolean> {
    const key = id.slice(1)
    try {
      if (wish === null) await this.#table.delete(key)
      else await this.#table.put(key, formatRecord(wish))
      this.#isFailing = false
      return true
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) this.#log(`the roster cannot be written now: ${error.message}`)
      this.#isFailing = true
      if (!this.#wishes.has(id)) this.#wishes.set(id, wish)
      return false
    }
  }
}
