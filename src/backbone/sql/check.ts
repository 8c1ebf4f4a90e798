import { statSync } from "node:fs"
import { checkKey } from "../key.js"
import type { ExportCursor, StoreResults } from "./operations.js"
import { fromSql, type Sql, type SqlValue } from "./sql.js"
import { maxFaults, type StoreLine, type StoreReport, type StoreSize } from "./store-report.js"

/** Lines of an export that are read at once, and their bytes. */
const pageLines = 200

/** Reads the whole store: pages, indexes, every entry and row, and whether the logs' books agree with them. */
export function verify(sql: Sql): StoreReport {
  const faults: string[] = []
  const find = (fault: string): void => {
    if (faults.length < maxFaults) faults.push(fault)
  }
  const checked = sql.all(`pragma integrity_check(${maxFaults})`).map(([line]) => String(line))
  if (checked[0] !== "ok") for (const line of checked) find(line)
  const logs = sql.all("select id, family, key, last, count, bytes from log order by id")
  let entries = 0
  for (const log of logs) entries += verifyLog(sql, log, find)
  const strays = sql.number("select count(*) from entry where log not in (select id from log)")
  if (strays > 0) find(`${strays} entries belong to no log`)
  const rows = sql.all("select tab, key, value, revision from row")
  const newest = sql.number("select value from meta where name = 'revision'")
  for (const [table, key, value, revision] of rows) {
    const isRead = isKey(table) && isKey(key) && isText(value) && Number(revision) <= newest
    if (!isRead) find(`row ${JSON.stringify(key)} of table ${JSON.stringify(table)} does not read back`)
  }
  return { isWhole: faults.length === 0, logs: logs.length, entries, rows: rows.length, faults }
}

/** @returns how many entries the log holds */
function verifyLog(sql: Sql, log: readonly SqlValue[], find: (fault: string) => void): number {
  const [id = 0, family, key, last, count, bytes] = log
  const name = `log ${JSON.stringify(family)} ${JSON.stringify(key)}`
  if (!isKey(family) || !isKey(key)) find(`${name} has no proper name`)
  let [entries, sum, before] = [0, 0, 0]
  for (;;) {
    const sqlText = "select seq, ts, bytes, value from entry where log = ? and seq > ? order by seq limit ?"
    const page = sql.all(sqlText, id, before, pageLines)
    for (const entry of page) {
      const [seq, , size] = entry
      if (!isEntry(entry, before)) find(`${name}: entry ${String(seq)} does not read back`)
      before = Math.max(before + 1, Number(seq))
      entries++
      sum += Number(size)
    }
    if (page.length < pageLines) break
  }
  if (before > Number(last)) find(`${name}: entry ${before} is newer than its newest, ${String(last)}`)
  if (entries !== count || sum !== bytes) {
    find(`${name}: holds ${entries} entries of ${sum} bytes, not ${String(count)} of ${String(bytes)}`)
  }
  return entries
}

/** Gives back what was freed. */
export function compact(sql: Sql, path: string): StoreSize {
  const size = (): number => sql.number("pragma page_count") * sql.number("pragma page_size")
  const before = Math.max(size(), statSync(path).size)
  sql.exec("vacuum")
  sql.all("pragma wal_checkpoint(truncate)")
  return { before, after: statSync(path).size }
}

/** A page of everything that is kept; `cursor` is undefined at the beginning, and in the last page. */
export function exportPage(sql: Sql, cursor: ExportCursor | undefined): StoreResults["export"] {
  const [part, first, second] = cursor ?? ["entries", 0, 0]
  return part === "entries" ? exportEntries(sql, first, second) : exportRows(sql, first, second)
}

function exportEntries(sql: Sql, log: SqlValue, after: SqlValue): StoreResults["export"] {
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

function exportRows(sql: Sql, table: SqlValue, after: SqlValue): StoreResults["export"] {
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
  const isRead = isText(value) && Buffer.byteLength(fromSql(value)) === size
  return isRead && Number.isSafeInteger(ts) && Number.isSafeInteger(seq) && Number(seq) > before
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
