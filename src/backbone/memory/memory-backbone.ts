import { randomBytes } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import {
  type Backbone,
  checkKey,
  type Logs,
  type Retention,
  type Row,
  type RowChange,
  type Subscription,
  type Table,
} from "../backbone.js"
import { EntryIds } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import { MemoryLogs, promptly } from "./memory-logs.js"

const idBytes = 9

/** Number of entry ids remembered for all logs together. */
const maxEntryIds = 100_000

/**
 * Opens an engine that stores everything in this process. It is always reachable and never shared, its promises resolve
 * before the next turn of the event loop, and its listeners are called during the append or the change itself.
 */
export function openMemoryBackbone({ clock }: { clock: Clock }): Promise<Backbone> {
  return promptly(() => new MemoryBackbone(clock))
}

class MemoryBackbone implements Backbone {
  readonly kind = "memory"
  readonly id = `srv_${randomBytes(idBytes).toString("base64url")}`
  readonly isReachable = true
  readonly isShared = false
  readonly #clock: Clock
  readonly #ids: EntryIds
  readonly #logs = new Map<string, MemoryLogs>()
  readonly #tables = new Map<string, MemoryTable>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ids = new EntryIds(clock, maxEntryIds)
  }

  logs(name: string, retention: Retention): Promise<Logs> {
    return promptly(() => {
      checkKey(name)
      const logs = this.#logs.get(name) ?? new MemoryLogs(name, retention, this.#clock, this.#ids)
      this.#logs.set(name, logs)
      return logs
    })
  }

  table(name: string): Promise<Table> {
    return promptly(() => {
      checkKey(name)
      const table = this.#tables.get(name) ?? new MemoryTable()
      this.#tables.set(name, table)
      return table
    })
  }

  onReachabilityChange(): void {
    // A memory engine is always reachable.
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A table in a map. */
class MemoryTable implements Table {
  readonly #rows = new Map<string, Row>()
  readonly #listeners = new Listeners<RowChange>()
  /** Counts for the whole table, so that it keeps rising when a row is deleted and created again. */
  #revision = 0

  get(key: string): Promise<Row | undefined> {
    return promptly(() => {
      checkKey(key)
      return this.#rows.get(key)
    })
  }

  put(key: string, value: string, expected?: number): Promise<number | undefined> {
    return promptly(() => {
      checkKey(key)
      if (!this.#hasRevision(key, expected)) return undefined
      const row = { key, value, revision: ++this.#revision }
      this.#rows.set(key, row)
      this.#listeners.emit(row)
      return row.revision
    })
  }

  delete(key: string, expected?: number): Promise<boolean> {
    return promptly(() => {
      checkKey(key)
      if (!this.#hasRevision(key, expected)) return false
      if (this.#rows.delete(key)) this.#listeners.emit({ key, value: undefined, revision: ++this.#revision })
      return true
    })
  }

  rows(): Promise<Row[]> {
    return promptly(() => [...this.#rows.values()])
  }

  watch(listener: (change: RowChange) => void): Promise<Subscription> {
    return promptly(() => {
      const end = this.#listeners.add(listener)
      // A row that the listener itself has changed meanwhile was reported by that change.
      for (const row of [...this.#rows.values()]) if (this.#rows.get(row.key) === row) listener(row)
      return end
    })
  }

  #hasRevision(key: string, expected: number | undefined): boolean {
    return expected === undefined || (this.#rows.get(key)?.revision ?? 0) === expected
  }
}
