import type { Row, RowChange, Subscription, Table } from "../backbone.js"
import { checkKey } from "../key.js"
import { Listeners } from "../listeners.js"
import type { StoreLink } from "./worker-link.js"

/** A table in a store. */
export class SqliteTable implements Table {
  readonly #link: StoreLink
  readonly #name: string
  readonly #listeners = new Listeners<RowChange>()

  constructor(link: StoreLink, name: string) {
    this.#link = link
    this.#name = name
  }

  async get(key: string): Promise<Row | undefined> {
    return await this.#link.ask({ op: "get", ...this.#of(key) })
  }

  async put(key: string, value: string, expected?: number): Promise<number | undefined> {
    return await this.#link.ask({ op: "put", ...this.#of(key), value, expected }, (revision) => {
      if (revision !== undefined) this.#listeners.tell({ key, value, revision })
    })
  }

  async delete(key: string, expected?: number): Promise<boolean> {
    const deleted = await this.#link.ask({ op: "delete", ...this.#of(key), expected }, ({ revision }) => {
      if (revision !== undefined) this.#listeners.tell({ key, value: undefined, revision })
    })
    return deleted.isExpected
  }

  async rows(): Promise<Row[]> {
    return await this.#link.ask({ op: "rows", table: this.#name })
  }

  async watch(listener: (change: RowChange) => void): Promise<Subscription> {
    let end: Subscription = () => {}
    await this.#link.ask({ op: "rows", table: this.#name }, (rows) => {
      // What a listener changes here is answered later, so nothing comes between.
      for (const row of rows) listener(row)
      end = this.#listeners.add(listener)
    })
    return end
  }

  #of(key: string): { table: string; key: string } {
    checkKey(key)
    return { table: this.#name, key }
  }
}
