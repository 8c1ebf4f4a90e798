import type { Row } from "../backbone.js"
import type { StoreOp, StoreResults } from "./operations.js"
import { fromSql, type Sql, toSql } from "./sql.js"

type Op<Name extends StoreOp["op"]> = Extract<StoreOp, { op: Name }>

/** The tables of a store; called within a transaction. */
export class SqlTables {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  get({ table, key }: Op<"get">): Row | undefined {
    const row = this.#sql.one("select value, revision from row where tab = ? and key = ?", table, key)
    return row === undefined ? undefined : { key, value: fromSql(row[0]), revision: Number(row[1]) }
  }

  put({ table, key, value, expected }: Op<"put">): number | undefined {
    if (!this.#isAsExpected(table, key, expected)) return undefined
    const revision = this.#nextRevision()
    this.#sql.run(
      `insert into row (tab, key, value, revision) values (?, ?, ?, ?)
       on conflict (tab, key) do update set value = excluded.value, revision = excluded.revision`,
      table,
      key,
      toSql(value),
      revision,
    )
    return revision
  }

  delete({ table, key, expected }: Op<"delete">): StoreResults["delete"] {
    if (!this.#isAsExpected(table, key, expected)) return { isExpected: false, revision: undefined }
    const deleted = this.#sql.run("delete from row where tab = ? and key = ?", table, key)
    return { isExpected: true, revision: deleted === 0 ? undefined : this.#nextRevision() }
  }

  rows({ table }: Op<"rows">): Row[] {
    const rows = this.#sql.all("select key, value, revision from row where tab = ?", table)
    return rows.map(([key, value, revision]) => ({
      key: String(key),
      value: fromSql(value),
      revision: Number(revision),
    }))
  }

  #isAsExpected(table: string, key: string, expected: number | undefined): boolean {
    if (expected === undefined) return true
    return this.#sql.number("select revision from row where tab = ? and key = ?", table, key) === expected
  }

  /** Of all tables together, so that it rises also for a row that was deleted and comes back. */
  #nextRevision(): number {
    this.#sql.run("update meta set value = value + 1 where name = 'revision'")
    return this.#sql.number("select value from meta where name = 'revision'")
  }
}
