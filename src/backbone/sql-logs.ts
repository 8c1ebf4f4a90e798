import { ChatError } from "../protocol/errors.js"
import type { Appended, LogEntry, LogStat } from "./backbone.js"
import { fromSql, type Sql, type SqlValue, toSql } from "./sql.js"
import type { StoreOp } from "./sqlite-ops.js"

type Op<Name extends StoreOp["op"]> = Extract<StoreOp, { op: Name }>

interface Log {
  readonly id: number
  last: number
  count: number
  bytes: number
}

/** Ids of entries remembered at most; the oldest are forgotten first. */
const idsKept = 4_000_000

/** Entries that are dropped at the bound are looked for in portions of this many. */
const dropPortion = 100

/** The logs of a store; called within a transaction. */
export class SqlLogs {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  append({ family, key, id, value, ts, keeping }: Op<"append">): Appended {
    const log = this.#find(family, key) ?? this.#make(family, key)
    const known = this.#sql.one("select seq, ts from seen where log = ? and id = ?", log.id, toSql(id))
    if (known !== undefined) return { seq: Number(known[0]), ts: Number(known[1]), isDuplicate: true }
    if (keeping.maxAgeMs !== undefined) this.#dropOld(log, ts - keeping.maxAgeMs)
    const { atBound, maxEntries, maxBytes = Infinity } = keeping
    const bytes = Buffer.byteLength(value)
    const isFull = log.count >= maxEntries || log.bytes + bytes > maxBytes
    if (isFull && maxEntries > 0 && atBound === "refuse-new") {
      throw new ChatError("MAILBOX_FULL", "as much waits there as is kept")
    }
    log.last++
    if (maxEntries > 0) this.#insert(log, ts, value, bytes)
    this.#sql.run("insert into seen (log, id, seq, ts) values (?, ?, ?, ?)", log.id, toSql(id), log.last, ts)
    this.#dropWhile(log, () => log.count > maxEntries || log.bytes > maxBytes)
    this.#save(log)
    return { seq: log.last, ts, isDuplicate: false }
  }

  read({ family, key, after, limit, eldestMs }: Op<"read">): LogEntry[] {
    const rows = this.#sql.all(
      `select e.seq, e.ts, e.value from entry e join log l on l.id = e.log
       where l.family = ? and l.key = ? and e.seq > ? and e.ts > ? order by e.seq limit ?`,
      family,
      key,
      after,
      eldestMs,
      Math.max(0, Math.min(limit, Number.MAX_SAFE_INTEGER)),
    )
    return rows.map((row) => toEntry(key, row))
  }

  last({ family, key, count, eldestMs }: Op<"last">): LogEntry[] {
    const rows = this.#sql.all(
      `select e.seq, e.ts, e.value from entry e join log l on l.id = e.log
       where l.family = ? and l.key = ? and e.ts > ? order by e.seq desc limit ?`,
      family,
      key,
      eldestMs,
      Math.max(0, Math.min(count, Number.MAX_SAFE_INTEGER)),
    )
    return rows.reverse().map((row) => toEntry(key, row))
  }

  stat({ family, key, eldestMs }: Op<"stat">): LogStat {
    const log = this.#find(family, key)
    if (log === undefined) return { first: 1, last: 0, count: 0 }
    const [first, count] = this.#sql.one(
      "select min(seq), count(*) from entry where log = ? and ts > ?",
      log.id,
      eldestMs,
    ) ?? [null, 0]
    return { first: Number(first ?? log.last + 1), last: log.last, count: Number(count) }
  }

  trim({ family, key, seq }: Op<"trim">): void {
    const log = this.#find(family, key)
    if (log === undefined) return
    const [count, bytes] = this.#sql.one(
      "select count(*), coalesce(sum(bytes), 0) from entry where log = ? and seq <= ?",
      log.id,
      seq,
    ) ?? [0, 0]
    if (Number(count) === 0) return
    this.#sql.run("delete from entry where log = ? and seq <= ?", log.id, seq)
    log.count -= Number(count)
    log.bytes -= Number(bytes)
    this.#save(log)
  }

  keys({ family, eldestMs }: Op<"keys">): string[] {
    const rows = this.#sql.all(
      `select key from log where family = ? and count > 0
       and exists (select 1 from entry where log = log.id and ts > ?)`,
      family,
      eldestMs,
    )
    return rows.map(([key]) => String(key))
  }

  sweep({ idsBeforeMs }: Op<"sweep">): void {
    this.#sql.run("delete from seen where ts < ?", idsBeforeMs)
    this.#sql.run("delete from seen where n <= (select max(n) from seen) - ?", idsKept)
  }

  expire({ family, eldestMs }: Op<"expire">): void {
    for (const [key] of this.#sql.all("select key from log where family = ? and count > 0", family)) {
      const log = this.#find(family, String(key))
      if (log === undefined) continue
      const before = log.count
      this.#dropOld(log, eldestMs)
      if (log.count !== before) this.#save(log)
    }
  }

  #find(family: string, key: string): Log | undefined {
    const sql = "select id, last, count, bytes from log where family = ? and key = ?"
    const row = this.#sql.one(sql, family, key)
    if (row === undefined) return undefined
    const [id, last, count, bytes] = row.map(Number) as [number, number, number, number]
    return { id, last, count, bytes }
  }

  #make(family: string, key: string): Log {
    this.#sql.run("insert into log (family, key, last, count, bytes) values (?, ?, 0, 0, 0)", family, key)
    return { id: this.#sql.number("select last_insert_rowid()"), last: 0, count: 0, bytes: 0 }
  }

  #save(log: Log): void {
    const sql = "update log set last = ?, count = ?, bytes = ? where id = ?"
    this.#sql.run(sql, log.last, log.count, log.bytes, log.id)
  }

  #insert(log: Log, ts: number, value: string, bytes: number): void {
    const sql = "insert into entry (log, seq, ts, bytes, value) values (?, ?, ?, ?, ?)"
    this.#sql.run(sql, log.id, log.last, ts, bytes, toSql(value))
    log.count++
    log.bytes += bytes
  }

  #dropOld(log: Log, eldestMs: number): void {
    this.#dropWhile(log, (ts) => ts <= eldestMs)
  }

  /** Drops the oldest entry as long as `isSurplus` says so. */
  #dropWhile(log: Log, isSurplus: (ts: number) => boolean): void {
    // Of the bounds one mostly needs no look at an entry.
    if (log.count === 0 || !isSurplus(-Infinity)) return
    for (;;) {
      const sql = "select seq, ts, bytes from entry where log = ? order by seq limit ?"
      const oldest = this.#sql.all(sql, log.id, dropPortion)
      let upTo = 0
      for (const [seq, ts, bytes] of oldest) {
        if (!isSurplus(Number(ts))) break
        upTo = Number(seq)
        log.count--
        log.bytes -= Number(bytes)
      }
      if (upTo === 0) return
      this.#sql.run("delete from entry where log = ? and seq <= ?", log.id, upTo)
      if (oldest.length < dropPortion || upTo !== Number(oldest.at(-1)?.[0])) return
    }
  }
}

function toEntry(key: string, [seq, ts, value]: readonly SqlValue[]): LogEntry {
  return { key, seq: Number(seq), ts: Number(ts), value: fromSql(value) }
}
