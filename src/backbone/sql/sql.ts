import { createRequire } from "node:module"

/** What can stand in a column. */
export type SqlValue = string | number | null | Buffer

interface Statement {
  raw(isRaw: boolean): Statement
  run(...values: SqlValue[]): { readonly changes: number }
  all(...values: SqlValue[]): SqlValue[][]
}

interface Database {
  readonly inTransaction: boolean
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}

/** One connection to an SQL file. Everything blocks; SQL errors are thrown as they come (see {@link sqlFault}). */
export class Sql {
  readonly #database: Database
  readonly #statements = new Map<string, Statement>()

  /** Opens a file, which is made when it does not exist. */
  constructor(path: string) {
    const driver = createRequire(import.meta.url)("libsql") as new (path: string) => Database
    this.#database = new driver(path)
  }

  get isInTransaction(): boolean {
    return this.#database.inTransaction
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  /** @returns how many rows changed */
  run(sql: string, ...values: SqlValue[]): number {
    return this.#prepare(sql).run(...values).changes
  }

  all(sql: string, ...values: SqlValue[]): SqlValue[][] {
    return this.#prepare(sql)
      .raw(true)
      .all(...values)
  }

  /** The first row. Ask for one alone: all are read, since a statement that is not at its end holds a lock. */
  one(sql: string, ...values: SqlValue[]): SqlValue[] | undefined {
    return this.all(sql, ...values)[0]
  }

  number(sql: string, ...values: SqlValue[]): number {
    return Number(this.one(sql, ...values)?.[0] ?? 0)
  }

  close(): void {
    this.#database.close()
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** A text as it is stored: the driver cuts texts at a NUL, so one with a NUL stands as bytes. */
export function toSql(text: string): SqlValue {
  return text.includes("\0") ? Buffer.from(text) : text
}

export function fromSql(value: SqlValue | undefined): string {
  return Buffer.isBuffer(value) ? value.toString() : String(value)
}

/** What went wrong in SQL, as far as somebody can do something about it. */
export type SqlFault = "busy" | "damaged" | "full" | "refused" | "other"

const faults: readonly (readonly [RegExp, SqlFault])[] = [
  [/^SQLITE_(BUSY|LOCKED)/, "busy"],
  [/^SQLITE_(CORRUPT|NOTADB)/, "damaged"],
  [/^SQLITE_(FULL|IOERR)/, "full"],
  [/^SQLITE_(CANTOPEN|READONLY|PERM|AUTH)/, "refused"],
]

export function sqlFault(error: unknown): SqlFault {
  const { code } = Object(error) as { code?: unknown }
  if (typeof code !== "string") return "other"
  return faults.find(([form]) => form.test(code))?.[1] ?? "other"
}
