import { randomBytes } from "node:crypto"
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs"
import { join } from "node:path"
import { ChatError } from "../../protocol/errors.js"
import { compact, exportPage, verify } from "./check.js"
import {
  isReading,
  type StoreAnswer,
  type StoreFailure,
  type StoreOp,
  type StoreOrder,
  type StoreResults,
} from "./operations.js"
import { Sql, sqlFault } from "./sql.js"
import { SqlLogs } from "./sql-logs.js"
import { SqlTables } from "./sql-tables.js"

/** Version of {@link schema}; a store of a newer one is not touched. */
const schemaVersion = 1

/** "ACst", in the head of the file. */
const applicationId = 0x41437374

const idBytes = 9

// `seen` remembers ids of entries; `n` orders them by age. Texts with a NUL stand as blobs.
const schema = `
  create table meta (name text primary key, value) without rowid;
  create table log (id integer primary key, family text not null, key text not null, last integer not null,
    count integer not null, bytes integer not null, unique (family, key));
  create table entry (log integer not null, seq integer not null, ts integer not null, bytes integer not null,
    value not null);
  create unique index entry_seq on entry (log, seq);
  create table seen (n integer primary key, log integer not null, id not null, seq integer not null,
    ts integer not null, unique (log, id));
  create index seen_ts on seen (ts);
  create table row (tab text not null, key text not null, value not null, revision integer not null,
    primary key (tab, key)) without rowid;
  pragma user_version = ${schemaVersion};
  pragma application_id = ${applicationId};
`

/**
 * A store in one SQL file, DIR/store.db. Everything blocks, so it lives in a thread of its own. While it is open no
 * other process, and no other thread, can open it; the lock is the file system's and ends with the process.
 */
export class SqlStore {
  readonly id: string
  readonly #path: string
  readonly #sql: Sql
  readonly #logs: SqlLogs
  readonly #tables: SqlTables

  /** @throws {ChatError} ALREADY_RUNNING, STORE_DAMAGED, NOT_FOUND, UNSUPPORTED or FILE_FAILED */
  constructor({ dir, create, check }: StoreOrder) {
    this.#path = join(dir, "store.db")
    prepareFile(dir, this.#path, create)
    try {
      this.#sql = openSql(this.#path, check)
      this.id = String(this.#sql.one("select value from meta where name = 'id'")?.[0])
    } catch (error) {
      throw openingError(error, dir, this.#path)
    }
    this.#logs = new SqlLogs(this.#sql)
    this.#tables = new SqlTables(this.#sql)
  }

  /**
   * Does everything in one transaction. An operation that is refused changes nothing and does not hinder the others.
   * @returns an answer for each, and `fault` when nothing at all could be written
   */
  apply(ops: readonly StoreOp[]): { answers: StoreAnswer[]; fault?: string } {
    try {
      if (ops[0]?.op === "compact") {
        return { answers: [{ ok: true, value: compact(this.#sql, this.#path) }] }
      }
      this.#sql.exec("begin")
      const answers = ops.map((op) => this.#answer(op))
      this.#logs.settle()
      this.#sql.exec("commit")
      return { answers }
    } catch (error) {
      return this.#undo(ops, error)
    }
  }

  close(): void {
    this.#sql.close()
  }

  #undo(ops: readonly StoreOp[], error: unknown): { answers: StoreAnswer[]; fault: string } {
    const fault = describeFault(error, this.#path)
    const failure: StoreFailure = { code: "UNAVAILABLE", message: fault }
    this.#logs.forget()
    if (this.#sql.isInTransaction) this.#sql.exec("rollback")
    const answers = ops.map((op): StoreAnswer => {
      if (!isReading(op)) return { ok: false, failure }
      try {
        return this.#answer(op)
      } catch {
        return { ok: false, failure }
      }
    })
    return { answers, fault }
  }

  #answer(op: StoreOp): StoreAnswer {
    try {
      return { ok: true, value: this.#do(op) }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      return { ok: false, failure: toFailure(error) }
    }
  }

  #do(op: StoreOp): StoreResults[StoreOp["op"]] {
    switch (op.op) {
      case "append":
        return this.#logs.append(op)
      case "get":
        return this.#tables.get(op)
      case "put":
        return this.#tables.put(op)
      case "delete":
        return this.#tables.delete(op)
      case "rows":
        return this.#tables.rows(op)
      default:
        this.#logs.settle()
        return this.#look(op)
    }
  }

  #look(op: StoreOp): StoreResults[StoreOp["op"]] {
    switch (op.op) {
      case "read":
        return this.#logs.read(op)
      case "last":
        return this.#logs.last(op)
      case "stat":
        return this.#logs.stat(op)
      case "keys":
        return this.#logs.keys(op)
      default:
        return this.#care(op)
    }
  }

  #care(op: StoreOp): StoreResults[StoreOp["op"]] {
    switch (op.op) {
      case "trim":
        this.#logs.trim(op)
        return null
      case "sweep":
        this.#logs.sweep(op)
        return null
      case "expire":
        this.#logs.expire(op)
        return null
      case "probe":
        this.#sql.run("insert or replace into meta (name, value) values ('probe', ?)", op.ts)
        return null
      case "verify":
        return verify(this.#sql)
      case "export":
        return exportPage(this.#sql, op.cursor)
      default:
        return null
    }
  }
}

/** An error as it goes between threads. */
export function toFailure(error: ChatError): StoreFailure {
  const { code, message, hint } = error
  return { code: code as StoreFailure["code"], message, ...(hint === undefined ? {} : { hint }) }
}

function prepareFile(dir: string, path: string, create: boolean): void {
  if (!create) {
    if (existsSync(path)) return
    throw new ChatError("NOT_FOUND", `${path}: no store is there`)
  }
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    closeSync(openSync(path, "a", 0o600))
  } catch (error) {
    throw new ChatError("FILE_FAILED", `${path}: ${(error as Error).message}`, { cause: error })
  }
}

function openSql(path: string, check: boolean): Sql {
  const sql = new Sql(path)
  try {
    // Before anything is read: then nobody else may open the file, and no shared memory is needed beside it.
    sql.all("pragma locking_mode = exclusive")
    sql.all("pragma journal_mode = wal")
    sql.exec("pragma synchronous = full")
    sql.exec("begin immediate")
    const isNew = sql.number("select count(*) from sqlite_master") === 0
    if (isNew) makeSchema(sql)
    else checkVersion(sql, path)
    sql.exec("commit")
    if (check) quickCheck(sql, path)
    return sql
  } catch (error) {
    sql.close()
    throw error
  }
}

function makeSchema(sql: Sql): void {
  sql.exec(schema)
  const id = `srv_${randomBytes(idBytes).toString("base64url")}`
  sql.run("insert into meta (name, value) values ('id', ?), ('revision', 0)", id)
}

function checkVersion(sql: Sql, path: string): void {
  if (sql.number("pragma application_id") !== applicationId) {
    throw new ChatError("STORE_DAMAGED", `${path}: is not a store of agentchat`, {
      hint: "name another directory",
    })
  }
  const version = sql.number("pragma user_version")
  if (version <= schemaVersion) return
  throw new ChatError(
    "UNSUPPORTED",
    `${path}: was written by a newer agentchat (form ${version}; this one knows ${schemaVersion})`,
    { hint: "use that version again, or name another directory" },
  )
}

function quickCheck(sql: Sql, path: string): void {
  const finding = String(sql.one("pragma quick_check(1)")?.[0])
  if (finding !== "ok") throw damaged(path, finding)
}

function damaged(path: string, finding: string): ChatError {
  return new ChatError("STORE_DAMAGED", `${path}: is damaged: ${finding}`, {
    hint: "put a copy of the directory back, or move it away and start with an empty one",
  })
}

function openingError(error: unknown, dir: string, path: string): unknown {
  if (error instanceof ChatError) return error
  const message = (error as Error).message
  switch (sqlFault(error)) {
    case "busy":
      return new ChatError("ALREADY_RUNNING", `${dir}: another relay holds this store`, {
        hint: "stop that relay first, or name another directory",
        cause: error,
      })
    case "damaged":
      return damaged(path, message)
    default:
      return new ChatError("FILE_FAILED", `${path}: ${message}`, { cause: error })
  }
}

function describeFault(error: unknown, path: string): string {
  const message = (error as Error).message
  if (sqlFault(error) === "damaged")
    return `${path}: is damaged: ${message}; stop the relay and put a copy back`
  return `${path}: cannot be written: ${message}`
}
