import { createRequire } from "node:module"
import { ChatError } from "../../protocol/errors.js"

/** The value of a column. */
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

/** Codes of a native library that is missing, or made for another platform. */
const nativeCodes = new Set(["MODULE_NOT_FOUND", "ERR_DLOPEN_FAILED"])

/** @throws {ChatError} UNSUPPORTED without the native library */
function loadDriver(): new (path: string) => Database {
  try {
    return createRequire(import.meta.url)("libsql") as new (
      path: string,
    ) => Database
  } catch (error) {
    if (!nativeCodes.has((error as NodeJS.ErrnoException).code ?? "")) throw error
    throw new ChatError("UNSUPPORTED", "the native library of libsql is missing for this platform", {
      hint: "install it again on this machine, with optional dependencies: npm install --include=optional",
      cause: error,
    })
  }
}

/** A connection to an SQLite file. Calls block. Errors of the driver are thrown unchanged, see {@link sqlFault}. */
export class Sql {
  readonly #database: Database
  readonly #statements = new Map<string, Statement>()

  /** Opens a file; creates it if it does not exist. */
  constructor(path: string) {
    this.#database = new (loadDriver())(path)
  }

  get isInTransaction(): boolean {
    return this.#database.inTransaction
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  /** @returns the number of rows changed */
  run(sql: string, ...values: SqlValue[]): number {
    return this.#prepare(sql).run(...values).changes
  }

  all(sql: string, ...values: SqlValue[]): SqlValue[][] {
    return this.#prepare(sql)
      .raw(true)
      .all(...values)
  }

  /** Returns the first row. The query should have only one: all are read, because an unfinished statement holds a lock. */
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

/** Converts a text for storage. The driver cuts texts at a NUL, so a text with a NUL is stored as bytes. */
export function toSql(text: string): SqlValue {
  return text.includes("\0") ? Buffer.from(text) : text
}

export function fromSql(value: SqlValue | undefined): string {
  return Buffer.isBuffer(value) ? value.toString() : String(value)
}

/** The kinds of SQL errors that callers distinguish. */
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
