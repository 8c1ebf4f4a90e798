import { randomBytes } from "node:crypto"
import { chmodSync, existsSync, linkSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { syncDirectory } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import type { Row } from "../backbone.js"
import { firstNumber } from "../numbering.js"
import { MessageIndex } from "./message-index.js"
import { fromSql, Sql, sqlFault, toSql } from "./sql.js"
import { SqlLogs } from "./sql-logs.js"
import { compact, exportPage, verify } from "./store-check.js"
import {
  isAlone,
  isRead,
  type OpParams,
  type StoreAnswer,
  type StoreFailure,
  type StoreOp,
  type StoreOps,
  type StoreOptions,
  type StoreResult,
} from "./worker-protocol.js"

/** The version of {@link schema}. A store of a newer version is not opened. */
const schemaVersion = 1

/** `ACst` in ASCII; marks the SQLite file as a store of agentchat. */
const applicationId = 0x41437374

const idBytes = 9

// `seen` holds ids of entries, ordered by age in `n`. Texts with a NUL are stored as blobs.
const schema = `
  create table meta (name text primary key, value) without rowid;
  create table log (id integer primary key, family text not null, key text not null, last integer not null,
    count integer not null, bytes integer not null, unique (family, key));
  create table entry (log integer not null, seq integer not null, ts integer not null, bytes integer not null,
    value not null);
  create unique index entry_seq on entry (log, seq);
  create table seen (n integer primary key, log integer not null, id not null, seq integer not null,
    ts integer not null, digest integer, unique (id, log));
  create index seen_ts on seen (ts);
  create table row (tab text not null, key text not null, value not null, revision integer not null,
    primary key (tab, key)) without rowid;
  pragma user_version = ${schemaVersion};
  pragma application_id = ${applicationId};
`

/** Operations that see appends before they are settled, see {@link SqlLogs.settle}. */
const unsettled: ReadonlySet<StoreOp["op"]> = new Set(["append", "get", "put", "delete", "rows"] as const)

/**
 * A store in one SQLite file, DIR/store.db. Calls block, so it runs in a thread of its own. While it is open, no other
 * process or thread can open it; the lock belongs to the file system and ends with the process.
 */
export class SqlStore {
  readonly id: string
  readonly #path: string
  readonly #sql: Sql
  readonly #logs: SqlLogs
  readonly #ops: StoreOps

  /** @throws {ChatError} ALREADY_RUNNING, STORE_DAMAGED, NOT_FOUND, UNSUPPORTED or FILE_FAILED */
  constructor({ dir, create, check, ts }: StoreOptions) {
    this.#path = join(dir, "store.db")
    let isNew: boolean
    try {
      isNew = createIfMissing(dir, this.#path, create)
      this.#sql = openSql(this.#path, check)
      this.id = String(this.#sql.one("select value from meta where name = 'id'")?.[0])
    } catch (error) {
      throw openingError(error, dir, this.#path)
    }
    // An existing store may be an older copy. A new one has an id that no reader knows.
    this.#logs = new SqlLogs(this.#sql, isNew ? 0 : firstNumber(ts))
    this.#ops = makeOps(this.#sql, this.#logs, this.#path)
  }

  /**
   * Runs operations in one transaction. An operation that is refused changes nothing and does not affect the others.
   * @returns an answer for each operation, and `fault` when nothing could be written
   */
  apply(ops: readonly StoreOp[]): { answers: StoreAnswer[]; fault?: string } {
    try {
      const [first] = ops
      if (first !== undefined && isAlone(first)) return { answers: [this.#answer(first)] }
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

  /** Rolls a batch back, and answers its reads nevertheless. */
  #undo(ops: readonly StoreOp[], error: unknown): { answers: StoreAnswer[]; fault: string } {
    const fault = describeFault(error, this.#path)
    const failure: StoreFailure = { code: "UNAVAILABLE", message: fault }
    this.#logs.forget()
    if (this.#sql.isInTransaction) this.#sql.exec("rollback")
    const answers = ops.map((op): StoreAnswer => {
      if (!isRead(op)) return { ok: false, failure }
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
      if (!unsettled.has(op.op)) this.#logs.settle()
      const run = this.#ops[op.op] as (op: StoreOp) => StoreResult
      return { ok: true, value: run(op) }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      return { ok: false, failure: toFailure(error) }
    }
  }
}

function makeOps(sql: Sql, logs: SqlLogs, path: string): StoreOps {
  const messages = new MessageIndex(sql, logs.changed)
  return {
    pass: () => null,
    probe: ({ ts }) => {
      sql.run("insert or replace into meta (name, value) values ('probe', ?)", ts)
      return null
    },
    append: (op) => logs.append(op),
    has: (op) => logs.has(op),
    read: (op) => logs.read(op),
    last: (op) => logs.last(op),
    stat: (op) => logs.stat(op),
    size: ({ family }) => sql.number("select coalesce(sum(bytes), 0) from log where family = ?", family),
    gap: (op) => logs.gap(op),
    trim: (op) => logs.trim(op),
    sweep: (op) => logs.sweep(op),
    expire: (op) => logs.expire(op),
    index: (op) => messages.catchUp(op),
    search: (op) => messages.search(op),
    get: (op) => getRow(sql, op),
    put: (op) => putRow(sql, op),
    delete: (op) => deleteRow(sql, op),
    rows: (op) => readRows(sql, op),
    verify: () => verify(sql),
    compact: () => compact(sql, path),
    copy: (op) => {
      sql.run("vacuum into ?", op.path)
      return null
    },
    export: ({ cursor }) => exportPage(sql, cursor),
  }
}

function getRow(sql: Sql, { table, key }: OpParams<"get">): Row | undefined {
  const row = sql.one("select value, revision from row where tab = ? and key = ?", table, key)
  return row === undefined ? undefined : { key, value: fromSql(row[0]), revision: Number(row[1]) }
}

function putRow(sql: Sql, op: OpParams<"put">): number | undefined {
  const { table, key, value } = op
  if (!hasExpectedRevision(sql, op)) return undefined
  const revision = nextRevision(sql)
  sql.run(
    `insert into row (tab, key, value, revision) values (?, ?, ?, ?)
     on conflict (tab, key) do update set value = excluded.value, revision = excluded.revision`,
    table,
    key,
    toSql(value),
    revision,
  )
  return revision
}

function deleteRow(sql: Sql, op: OpParams<"delete">): StoreResult<"delete"> {
  if (!hasExpectedRevision(sql, op)) return { isExpected: false, revision: undefined }
  const deleted = sql.run("delete from row where tab = ? and key = ?", op.table, op.key)
  return { isExpected: true, revision: deleted === 0 ? undefined : nextRevision(sql) }
}

function readRows(sql: Sql, { table }: OpParams<"rows">): Row[] {
  const rows = sql.all("select key, value, revision from row where tab = ?", table)
  return rows.map(([key, value, revision]) => ({
    key: String(key),
    value: fromSql(value),
    revision: Number(revision),
  }))
}

function hasExpectedRevision(
  sql: Sql,
  { table, key, expected }: OpParams<"put"> | OpParams<"delete">,
): boolean {
  if (expected === undefined) return true
  return sql.number("select revision from row where tab = ? and key = ?", table, key) === expected
}

/** Returns a number above those of all tables, so that it rises even when a row is deleted and created again. */
function nextRevision(sql: Sql): number {
  sql.run("update meta set value = value + 1 where name = 'revision'")
  return sql.number("select value from meta where name = 'revision'")
}

/** Converts an error for the main thread. */
export function toFailure(error: ChatError): StoreFailure {
  const { code, message, hint } = error
  return { code: code as StoreFailure["code"], message, ...(hint === undefined ? {} : { hint }) }
}

/** Creates a store if there is none and `create` is true. @returns true if it did */
function createIfMissing(dir: string, path: string, create: boolean): boolean {
  if (existsSync(path)) return false
  if (!create) throw new ChatError("NOT_FOUND", `${path}: no such store`)
  checkNoWal(path)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // Under another name first: an empty store.db is one that lost its content, not one that is being created.
  const draft = `${path}.${randomBytes(idBytes).toString("hex")}.tmp`
  try {
    const sql = new Sql(draft)
    try {
      chmodSync(draft, 0o600)
      sql.exec("begin")
      makeSchema(sql)
      sql.exec("commit")
    } finally {
      sql.close()
    }
    linkSync(draft, path)
    syncDirectory(dir)
    return true
  } catch (error) {
    // Another relay was faster; its store is opened instead.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    return false
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Refuses a directory with the write-ahead log of a store that is gone: SQLite would apply it to the next store. */
export function checkNoWal(path: string): void {
  if (!existsSync(`${path}-wal`)) return
  throw new ChatError("STORE_DAMAGED", `${path}: is missing, but its ${path}-wal is there`, {
    hint: "move both back to the same place, or move the -wal file away too and start with an empty store",
  })
}

function openSql(path: string, check: boolean): Sql {
  const sql = new Sql(path)
  try {
    // Set before the first read, so that nobody else can open the file and SQLite needs no shared memory file.
    sql.all("pragma locking_mode = exclusive")
    sql.all("pragma journal_mode = wal")
    sql.exec("pragma synchronous = full")
    sql.exec("begin immediate")
    if (sql.number("select count(*) from sqlite_master") === 0) throw emptied(path)
    checkVersion(sql, path)
    addDigests(sql)
    MessageIndex.create(sql)
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

/** Adds a column and an index that older stores lack. Older versions of agentchat ignore them. */
function addDigests(sql: Sql): void {
  const found = sql.number("select count(*) from pragma_table_info('seen') where name = 'digest'")
  if (found === 0) sql.exec("alter table seen add column digest integer")
  const older = sql.number("select count(*) from sqlite_master where sql like '%unique (log, id)%'")
  if (older > 0) sql.exec("create index if not exists seen_id on seen (id)")
}

function checkVersion(sql: Sql, path: string): void {
  if (sql.number("pragma application_id") !== applicationId) {
    throw new ChatError("STORE_DAMAGED", `${path}: is not an agentchat store`, {
      hint: "use another directory",
    })
  }
  const version = sql.number("pragma user_version")
  if (version <= schemaVersion) return
  throw new ChatError(
    "UNSUPPORTED",
    `${path}: was written by a newer agentchat (version ${version}; this one supports ${schemaVersion})`,
    { hint: "use that agentchat version, or another directory" },
  )
}

function quickCheck(sql: Sql, path: string): void {
  const finding = String(sql.one("pragma quick_check(1)")?.[0])
  if (finding !== "ok") throw damaged(path, finding)
}

function emptied(path: string): ChatError {
  return new ChatError("STORE_DAMAGED", `${path}: is empty`, {
    hint: "restore a copy: agentchat store restore DIR FILE; or remove the file to start with a new store",
  })
}

function damaged(path: string, finding: string): ChatError {
  return new ChatError("STORE_DAMAGED", `${path}: is damaged: ${finding}`, {
    hint: "restore a copy of the directory, or move it away and start with an empty one",
  })
}

function openingError(error: unknown, dir: string, path: string): unknown {
  if (error instanceof ChatError) return error
  const message = (error as Error).message
  switch (sqlFault(error)) {
    case "busy":
      return new ChatError("ALREADY_RUNNING", `${dir}: another relay uses this store`, {
        hint: "stop that relay first, or use another directory",
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
    return `${path}: is damaged: ${message}; stop the relay and restore a copy`
  return `${path}: cannot be written: ${message}`
}
