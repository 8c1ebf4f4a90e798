import type { Subscription, Table } from "../../backbone/backbone.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import { formatRecord, parseRecord, type RosterRecord } from "./roster-record.js"

/** Milliseconds for which changes are gathered before they are written. */
const gatherMs = 50
/** Milliseconds after which a failed write is repeated. */
const retryMs = 1_000
/** Most writes in progress at once. */
const maxWrites = 64

/** The next write of an agent's row; null deletes it. */
type Write = RosterRecord | null

/**
 * The table of agents, with delayed writes: changes of an agent within a short time are written as one, at most one
 * write per agent is in progress, and a write that fails is repeated later with the record as it is then.
 */
export class RosterStore {
  readonly #table: Table
  readonly #clock: Clock
  readonly #log: (line: string) => void
  readonly #queued = new Map<AgentId, Write>()
  readonly #writing = new Map<AgentId, Promise<void>>()
  #timer: Timer | undefined
  #isFailing = false
  #isFlushDue = false

  constructor(table: Table, clock: Clock, log: (line: string) => void) {
    this.#table = table
    this.#clock = clock
    this.#log = log
  }

  /** Reads every record. @throws {ChatError} UNAVAILABLE */
  async records(): Promise<RosterRecord[]> {
    const records: RosterRecord[] = []
    for (const { key, value } of await this.#table.rows()) {
      const record = parseRecord(key, value)
      if (record !== undefined) records.push(record)
    }
    return records
  }

  /** Reports every record, then every change; undefined for a row that was deleted or cannot be parsed. */
  watch(listener: (id: AgentId, record: RosterRecord | undefined) => void): Promise<Subscription> {
    return this.#table.watch(({ key, value }) => {
      listener(`@${key}` as AgentId, value === undefined ? undefined : parseRecord(key, value))
    })
  }

  /** Schedules the write of a record. */
  put(record: RosterRecord): void {
    this.#enqueue(record.id, record)
  }

  /** Schedules the deletion of a row. */
  remove(id: AgentId): void {
    this.#enqueue(id, null)
  }

  /** Writes queued changes at the end of this turn, unless the last write failed. */
  flushSoon(): void {
    if (this.#isFailing || this.#isFlushDue) return
    this.#isFlushDue = true
    queueMicrotask(() => {
      this.#isFlushDue = false
      this.#writeMore()
    })
  }

  /** Writes all queued changes; gives up at the first failure. */
  async flush(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    while (this.#queued.size > 0 || this.#writing.size > 0) {
      this.#writeMore()
      await Promise.all(this.#writing.values())
      if (this.#isFailing) return
    }
  }

  #enqueue(id: AgentId, write: Write): void {
    this.#queued.set(id, write)
    this.#schedule(gatherMs)
  }

  #schedule(delayMs: number): void {
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
    for (const [id, write] of this.#queued) {
      if (this.#writing.size >= maxWrites) return
      if (this.#writing.has(id)) continue
      this.#queued.delete(id)
      const writing = this.#write(id, write).finally(() => {
        this.#writing.delete(id)
        if (this.#queued.size > 0) this.#schedule(this.#isFailing ? retryMs : gatherMs)
      })
      this.#writing.set(id, writing)
    }
  }

  async #write(id: AgentId, write: Write): Promise<void> {
    const key = id.slice(1)
    try {
      if (write === null) await this.#table.delete(key)
      else await this.#table.put(key, formatRecord(write))
      this.#isFailing = false
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (!this.#isFailing) this.#log(`roster: cannot be written: ${error.message}`)
      this.#isFailing = true
      if (!this.#queued.has(id)) this.#queued.set(id, write)
    }
  }
}
