// Baseline: durable inserts into one SQL table with the driver and durability settings of the relay's store.
import { createRequire } from "node:module"
import { join } from "node:path"
import { answer } from "../kit/children.mjs"
import { quantile } from "../kit/statistics.mjs"

/** @typedef {typeof api} SqlApi */

/**
 * @typedef {object} Database
 * @property {(sql: string) => { run: (...values: unknown[]) => unknown, all: () => unknown[] }} prepare
 * @property {(sql: string) => void} exec
 */

const Driver = /** @type {new (path: string) => Database} */ (createRequire(import.meta.url)("libsql"))
/** @type {Database} */
let database
/** @type {ReturnType<Database["prepare"]>} */
let intoLines
/** @type {ReturnType<Database["prepare"]>} */
let intoIds
let inserted = 0

const api = {
  /** @param {{ directory: string }} request */
  open({ directory }) {
    database = new Driver(join(directory, "bare.db"))
    database.prepare("pragma locking_mode = exclusive").all()
    database.prepare("pragma journal_mode = wal").all()
    database.exec("pragma synchronous = full")
    database.exec("create table line (seq integer primary key, value text not null)")
    database.exec("create table seen (id text primary key, seq integer not null)")
    intoLines = database.prepare("insert into line (value) values (?)")
    intoIds = database.prepare("insert into seen (id, seq) values (?, ?) on conflict do nothing")
  },
  /**
   * Inserts for `ms` milliseconds, `group` rows per transaction.
   * @param {{ ms: number, group: number, bytes: number, hasIds?: boolean }} request - `hasIds` removes duplicates by id
   */
  insert({ ms, group, bytes, hasIds = false }) {
    const value = "x".repeat(bytes)
    const startMs = performance.now()
    let count = 0
    while (performance.now() - startMs < ms) {
      insert(value, group, hasIds)
      count += group
    }
    return count / ((performance.now() - startMs) / 1_000)
  },
  /** Measures milliseconds of one insert in its own transaction. @param {{ count: number, bytes: number }} request */
  latency({ count, bytes }) {
    const value = "x".repeat(bytes)
    const latencies = Array.from({ length: count }, () => {
      const startMs = performance.now()
      insert(value, 1, false)
      return performance.now() - startMs
    })
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
  },
}
answer(api)

/** @param {string} value @param {number} group @param {boolean} hasIds */
function insert(value, group, hasIds) {
  database.exec("begin")
  for (let i = 0; i < group; i++) {
    inserted++
    if (hasIds) intoIds.run(`sender.${inserted}`, inserted)
    intoLines.run(value)
  }
  database.exec("commit")
}
