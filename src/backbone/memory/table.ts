import type { Row, RowChange, Subscription, Table } from "../backbone.js"
import { checkKey } from "../key.js"
import { Listeners } from "../listeners.js"
import { promptly } from "./logs.js"

/** A table in a plain map. */
export class MemoryTable implements Table {
  readonly #rows = new Map<string, Row>()
  readonly #listeners = new Listeners<RowChange>()
  /** Of the whole table, so that it rises also for a row that was deleted and comes back. */
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
      if (!this.#isAsExpected(key, expected)) return undefined
      const row = { key, value, revision: ++this.#revision }
      this.#rows.set(key, row)
      this.#listeners.tell(row)
      return row.revision
    })
  }

  delete(key: string, expected?: number): Promise<boolean> {
    return promptly(() => {
      checkKey(key)
      if (!this.#isAsExpected(key, expected)) return false
      if (this.#rows.delete(key)) this.#listeners.tell({ key, value: undefined, revision: ++this.#revision })
      return true
    })
  }

  rows(): Promise<Row[]> {
    return promptly(() => [...this.#rows.values()])
  }

  watch(listener: (change: RowChange) => void): Promise<Subscription> {
    return promptly(() => {
      const end = this.#listeners.add(listener)
      // A row that the listener itself changed meanwhile has been told.
      for (const row of [...this.#rows.values()]) if (this.#rows.get(row.key) === row) listener(row)
      return end
    })
  }

  #isAsExpected(key: string, expected: number | undefined): boolean {
    return expected === undefined || (this.#rows.get(key)?.revision ?? 0) === expected
  }
}
