import type { Appended, LogEntry, LogStat, Retention } from "../backbone.js"
import { logFull } from "../entry-ids.js"
import type { NumberGap } from "../numbering.js"
import { fromSql, type Sql, type SqlValue, toSql } from "./sql.js"
import type { OpParams } from "./worker-protocol.js"

interface Log {
  readonly id: number
  last: number
  count: number
  bytes: number
  /** When its oldest entry was appended; undefined when that has to be looked up. */
  oldestTs: number | undefined
  /** Set by an append, until the log is settled. */
  retention: Retention | undefined
}

/** Most ids remembered; the oldest are forgotten first. */
const maxIds = 4_000_000

/** Number of entries examined at once when dropping the oldest. */
const dropBatch = 100

/**
 * The logs of a store; to be used within a transaction. Bounds and totals of a log are brought up to date once for all
 * entries appended to it: call {@link settle} before any other operation and before the transaction ends.
 */
export class SqlLogs {
  /** Ids of logs that were appended to or dropped from; whoever has handled a change removes its log. */
  readonly changed = new Set<number>()
  readonly #sql: Sql
  /** Entries are given numbers above this. */
  readonly #firstNumber: number
  /** The logs used in this transaction. */
  readonly #open = new Map<string, Log>()
  /** The last number of each log, by its id, when it was first appended to since the store was opened. */
  readonly #lastBefore = new Map<number, number>()

  constructor(sql: Sql, firstNumber: number) {
    this.#sql = sql
    this.#firstNumber = firstNumber
  }

  append({ family, key, id, value, digest, ts, retention }: OpParams<"append">): Appended {
    const log = this.#find(family, key) ?? this.#create(family, key)
    log.retention = retention
    if (retention.maxAgeMs !== undefined) this.#dropExpired(log, ts - retention.maxAgeMs)
    const bytes = Buffer.byteLength(value)
    if (isFull(retention, log, bytes)) {
      const known = this.#seen(log, id) ?? this.#seenAnywhere(id, digest)
      if (known !== undefined) return known
      throw logFull()
    }
    const known = this.#seenAnywhere(id, digest)
    if (known !== undefined) return known
    const seq = Math.max(log.last, this.#firstNumber) + 1
    const sql = "insert into seen (log, id, seq, ts, digest) values (?, ?, ?, ?, ?) on conflict do nothing"
    if (this.#sql.run(sql, log.id, toSql(id), seq, ts, digest ?? null) === 0) {
      const own = this.#seen(log, id)
      if (own !== undefined) return own
    }
    if (log.last < this.#firstNumber) this.#lastBefore.set(log.id, log.last)
    log.last = seq
    this.#insert(log, ts, value, bytes)
    return { seq: log.last, ts, isDuplicate: false }
  }

  /** Enforces the bounds of the logs that were appended to, and writes their totals. */
  settle(): void {
    for (const log of this.#open.values()) {
      if (log.retention === undefined) continue
      this.#dropSurplus(log, log.retention)
      this.#save(log)
    }
    this.forget()
  }

  /** Discards what was not settled, after a rollback. */
  forget(): void {
    this.#open.clear()
  }

  has({ family, key, id }: OpParams<"has">): boolean {
    const log = this.#find(family, key)
    return log !== undefined && this.#seen(log, id) !== undefined
  }

  read({ family, key, after, limit, oldestMs }: OpParams<"read">): LogEntry[] {
    const rows = this.#sql.all(
      `select e.seq, e.ts, e.value from entry e join log l on l.id = e.log
       where l.family = ? and l.key = ? and e.seq > ? and e.ts > ? order by e.seq limit ?`,
      family,
      key,
      after,
      oldestMs,
      Math.max(0, Math.min(limit, Number.MAX_SAFE_INTEGER)),
    )
    return rows.map((row) => toEntry(key, row))
  }

  last({ family, key, count, oldestMs }: OpParams<"last">): LogEntry[] {
    const rows = this.#sql.all(
      `select e.seq, e.ts, e.value from entry e join log l on l.id = e.log
       where l.family = ? and l.key = ? and e.ts > ? order by e.seq desc limit ?`,
      family,
      key,
      oldestMs,
      Math.max(0, Math.min(count, Number.MAX_SAFE_INTEGER)),
    )
    return rows.reverse().map((row) => toEntry(key, row))
  }

  stat({ family, key, oldestMs }: OpParams<"stat">): LogStat {
    const log = this.#find(family, key)
    if (log === undefined) return { last: 0, count: 0 }
    const count = this.#sql.number("select count(*) from entry where log = ? and ts > ?", log.id, oldestMs)
    return { last: log.last, count }
  }

  gap({ family, key }: OpParams<"gap">): NumberGap | undefined {
    const log = this.#find(family, key)
    if (log === undefined) return { after: 0, until: this.#firstNumber }
    const after = log.last < this.#firstNumber ? log.last : this.#lastBefore.get(log.id)
    return after === undefined ? undefined : { after, until: this.#firstNumber }
  }

  trim({ family, key, seq }: OpParams<"trim">): null {
    const log = this.#find(family, key)
    if (log === undefined) return null
    const [count, bytes] = this.#sql.one(
      "select count(*), coalesce(sum(bytes), 0) from entry where log = ? and seq <= ?",
      log.id,
      seq,
    ) ?? [0, 0]
    if (Number(count) === 0) return null
    this.#sql.run("delete from entry where log = ? and seq <= ?", log.id, seq)
    log.count -= Number(count)
    log.bytes -= Number(bytes)
    log.oldestTs = undefined
    this.#save(log)
    return null
  }

  sweep({ idsBeforeMs }: OpParams<"sweep">): null {
    this.#sql.run("delete from seen where ts < ?", idsBeforeMs)
    this.#sql.run("delete from seen where n <= (select max(n) from seen) - ?", maxIds)
    return null
  }

  expire({ family, oldestMs }: OpParams<"expire">): null {
    for (const [key] of this.#sql.all("select key from log where family = ? and count > 0", family)) {
      const log = this.#find(family, String(key))
      if (log === undefined) continue
      const before = log.count
      this.#dropExpired(log, oldestMs)
      if (log.count !== before) this.#save(log)
    }
    return null
  }

  #find(family: string, key: string): Log | undefined {
    const name = `${family} ${key}`
    const open = this.#open.get(name)
    if (open !== undefined) return open
    const sql = "select id, last, count, bytes from log where family = ? and key = ?"
    const row = this.#sql.one(sql, family, key)
    if (row === undefined) return undefined
    const [id, last, count, bytes] = row.map(Number) as [number, number, number, number]
    const log = { id, last, count, bytes, oldestTs: undefined, retention: undefined }
    this.#open.set(name, log)
    return log
  }

  #create(family: string, key: string): Log {
    this.#sql.run("insert into log (family, key, last, count, bytes) values (?, ?, 0, 0, 0)", family, key)
    const id = this.#sql.number("select last_insert_rowid()")
    const log = { id, last: 0, count: 0, bytes: 0, oldestTs: undefined, retention: undefined }
    this.#open.set(`${family} ${key}`, log)
    return log
  }

  #save(log: Log): void {
    this.changed.add(log.id)
    const sql = "update log set last = ?, count = ?, bytes = ? where id = ?"
    this.#sql.run(sql, log.last, log.count, log.bytes, log.id)
  }

  #seen(log: Log, id: string): Appended | undefined {
    return toKnown(
      this.#sql.one("select seq, ts, digest from seen where id = ? and log = ?", toSql(id), log.id),
    )
  }

  /** Finds an id with a digest in all logs. @param digest - that of the new entry; without one there is nothing to find */
  #seenAnywhere(id: string, digest: number | undefined): Appended | undefined {
    if (digest === undefined) return undefined
    const sql = "select seq, ts, digest from seen where id = ? and digest is not null limit 1"
    return toKnown(this.#sql.one(sql, toSql(id)))
  }

  #insert(log: Log, ts: number, value: string, bytes: number): void {
    const sql = "insert into entry (log, seq, ts, bytes, value) values (?, ?, ?, ?, ?)"
    this.#sql.run(sql, log.id, log.last, ts, bytes, toSql(value))
    if (log.count === 0) log.oldestTs = ts
    log.count++
    log.bytes += bytes
  }

  #dropSurplus(log: Log, { maxEntries, maxBytes = Infinity }: Retention): void {
    if (log.count > maxEntries) {
      const [upTo, bytes] = this.#sql.one(
        `select max(seq), sum(bytes) from
         (select seq, bytes from entry where log = ? order by seq limit ?)`,
        log.id,
        log.count - maxEntries,
      ) ?? [0, 0]
      this.#drop(log, Number(upTo), log.count - maxEntries, Number(bytes))
    }
    if (log.bytes > maxBytes) this.#dropWhile(log, () => log.bytes > maxBytes)
  }

  /** Drops entries appended at or before `oldestMs`. */
  #dropExpired(log: Log, oldestMs: number): void {
    if (log.count === 0) return
    log.oldestTs ??= this.#sql.number("select ts from entry where log = ? order by seq limit 1", log.id)
    if (log.oldestTs <= oldestMs) this.#dropWhile(log, (ts) => ts <= oldestMs)
  }

  /** Drops the oldest entry while `isSurplus` returns true. */
  #dropWhile(log: Log, isSurplus: (ts: number) => boolean): void {
    for (;;) {
      const sql = "select seq, ts, bytes from entry where log = ? order by seq limit ?"
      const oldest = this.#sql.all(sql, log.id, dropBatch)
      let upTo = 0
      for (const [seq, ts, bytes] of oldest) {
        if (!isSurplus(Number(ts))) break
        upTo = Number(seq)
        log.count--
        log.bytes -= Number(bytes)
      }
      if (upTo === 0) return
      this.#drop(log, upTo, 0, 0)
      if (oldest.length < dropBatch || upTo !== Number(oldest.at(-1)?.[0])) return
    }
  }

  #drop(log: Log, upTo: number, count: number, bytes: number): void {
    this.#sql.run("delete from entry where log = ? and seq <= ?", log.id, upTo)
    log.count -= count
    log.bytes -= bytes
    log.oldestTs = undefined
  }
}

function toKnown(row: readonly SqlValue[] | undefined): Appended | undefined {
  if (row === undefined) return undefined
  const [seq, ts, digest = null] = row
  const known = { seq: Number(seq), ts: Number(ts), isDuplicate: true }
  return digest === null ? known : { ...known, digest: Number(digest) }
}

/** Reports whether a log refuses an entry of this size. */
function isFull({ whenFull, maxEntries, maxBytes = Infinity }: Retention, log: Log, bytes: number): boolean {
  if (whenFull !== "refuse-new") return false
  return log.count >= maxEntries || log.bytes + bytes > maxBytes
}

function toEntry(key: string, [seq, ts, value]: readonly SqlValue[]): LogEntry {
  return { key, seq: Number(seq), ts: Number(ts), value: fromSql(value) }
}
