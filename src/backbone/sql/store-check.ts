import { statSync } from "node:fs"
import { checkKey } from "../backbone.js"
import { fromSql, type Sql, type SqlValue } from "./sql.js"
import {
  type ExportCursor,
  type ExportPage,
  maxFaults,
  type StoreLine,
  type StoreReport,
  type StoreSize,
} from "./worker-protocol.js"

/** Lines of an export, or entries of a log, read at once. */
const pageLines = 200

/** Reads the whole store and checks its pages and indexes, every entry and row, and the totals of each log. */
export function verify(sql: Sql): StoreReport {
  const faults: string[] = []
  const report = (fault: string): void => {
    if (faults.length < maxFaults) faults.push(fault)
  }
  const checked = sql.all(`pragma integrity_check(${maxFaults})`).map(([line]) => String(line))
  if (checked[0] !== "ok") for (const line of checked) report(line)
  const logs = sql.all("select id, family, key, last, count, bytes from log order by id")
  let entries = 0
  for (const log of logs) entries += verifyLog(sql, log, report)
  const strays = sql.number("select count(*) from entry where log not in (select id from log)")
  if (strays > 0) report(`${strays} entries belong to no log`)
  const rows = sql.all("select tab, key, value, revision from row")
  const newest = sql.number("select value from meta where name = 'revision'")
  for (const [table, key, value, revision] of rows) {
    const isValid = isKey(table) && isKey(key) && isText(value) && Number(revision) <= newest
    if (!isValid) report(`row ${JSON.stringify(key)} of table ${JSON.stringify(table)} is malformed`)
  }
  return { isWhole: faults.length === 0, logs: logs.length, entries, rows: rows.length, faults }
}

/** @returns the number of entries in the log */
function verifyLog(sql: Sql, log: readonly SqlValue[], report: (fault: string) => void): number {
  const [id = 0, family, key, last, count, bytes] = log
  const name = `log ${JSON.stringify(family)} ${JSON.stringify(key)}`
  if (!isKey(family) || !isKey(key)) report(`${name} has an invalid name`)
  let [entries, sum, before] = [0, 0, 0]
  for (;;) {
    const sqlText = "select seq, ts, bytes, value from entry where log = ? and seq > ? order by seq limit ?"
    const page = sql.all(sqlText, id, before, pageLines)
    for (const entry of page) {
      const [seq, , size] = entry
      if (!isEntry(entry, before)) report(`${name}: entry ${String(seq)} is malformed`)
      before = Math.max(before + 1, Number(seq))
      entries++
      sum += Number(size)
    }
    if (page.length < pageLines) break
  }
  if (before > Number(last)) report(`${name}: entry ${before} is newer than its newest, ${String(last)}`)
  if (entries !== count || sum !== bytes) {
    report(`${name}: has ${entries} entries of ${sum} bytes, expected ${String(count)} of ${String(bytes)}`)
  }
  return entries
}

/** Returns free space to the file system. */
export function compact(sql: Sql, path: string): StoreSize {
  const size = (): number => sql.number("pragma page_count") * sql.number("pragma page_size")
  const before = Math.max(size(), statSync(path).size)
  sql.exec("vacuum")
  sql.all("pragma wal_checkpoint(truncate)")
  return { before, after: statSync(path).size }
}

/** Reads one page of an export. `cursor` is undefined for the first page, and in the result of the last one. */
export function exportPage(sql: Sql, cursor: ExportCursor | undefined): ExportPage {
  const [part, first, second] = cursor ?? ["entries", 0, 0]
  return part === "entries" ? exportEntries(sql, first, second) : exportRows(sql, first, second)
}

function exportEntries(sql: Sql, log: SqlValue, after: SqlValue): ExportPage {
  const page = sql.all(
    `select e.log, l.family, l.key, e.seq, e.ts, e.value from entry e join log l on l.id = e.log
     where (e.log, e.seq) > (?, ?) order by e.log, e.seq limit ?`,
    log,
    after,
    pageLines,
  )
  const lines = page.map(([, family, key, seq, ts, value]): StoreLine => {
    const named = { kind: "entry", family: String(family), key: String(key) } as const
    return { ...named, seq: Number(seq), ts: Number(ts), value: fromSql(value) }
  })
  const newest = page.at(-1)
  if (newest === undefined || page.length < pageLines) return { lines, cursor: ["rows", "", ""] }
  return { lines, cursor: ["entries", Number(newest[0]), Number(newest[3])] }
}

function exportRows(sql: Sql, table: SqlValue, after: SqlValue): ExportPage {
  const page = sql.all(
    `select tab, key, revision, value from row where (tab, key) > (?, ?) order by tab, key limit ?`,
    table,
    after,
    pageLines,
  )
  const lines = page.map(([tab, key, revision, value]): StoreLine => {
    const named = { kind: "row", table: String(tab), key: String(key) } as const
    return { ...named, revision: Number(revision), value: fromSql(value) }
  })
  const newest = page.at(-1)
  if (newest === undefined || page.length < pageLines) return { lines, cursor: undefined }
  return { lines, cursor: ["rows", String(newest[0]), String(newest[1])] }
}

function isEntry([seq, ts, size, value]: readonly SqlValue[], before: number): boolean {
  const isWhole = isText(value) && Buffer.byteLength(fromSql(value)) === size
  return isWhole && Number.isSafeInteger(ts) && Number.isSafeInteger(seq) && Number(seq) > before
}

function isKey(value: SqlValue | undefined): boolean {
  try {
    checkKey(String(value))
    return typeof value === "string"
  } catch {
    return false
  }
}

function isText(value: SqlValue | undefined): boolean {
  return typeof value === "string" || Buffer.isBuffer(value)
}
