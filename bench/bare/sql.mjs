// The least it costs to keep a line in an SQL file so that it survives a power cut: inserts into one table, by the
// driver and with the durability of the relay's own store.
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
let statement

const api = {
  /** @param {{ directory: string }} request */
  open({ directory }) {
    database = new Driver(join(directory, "bare.db"))
    database.prepare("pragma locking_mode = exclusive").all()
    database.prepare("pragma journal_mode = wal").all()
    database.exec("pragma synchronous = full")
    database.exec("create table line (seq integer primary key, value text not null)")
    statement = database.prepare("insert into line (value) values (?)")
  },
  /** Inserts for that long, so many in each transaction. @param {{ ms: number, group: number, bytes: number }} request */
  insert({ ms, group, bytes }) {
    const value = "x".repeat(bytes)
    const startMs = performance.now()
    let count = 0
    while (performance.now() - startMs < ms) {
      insert(value, group)
      count += group
    }
    return count / ((performance.now() - startMs) / 1_000)
  },
  /** Milliseconds of one insert with its transaction. @param {{ count: number, bytes: number }} request */
  latency({ count, bytes }) {
    const value = "x".repeat(bytes)
    const latencies = Array.from({ length: count }, () => {
      const startMs = performance.now()
      insert(value, 1)
      return performance.now() - startMs
    })
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
  },
}
answer(api)

/** @param {string} value @param {number} group */
function insert(value, group) {
  database.exec("begin")
  for (let i = 0; i < group; i++) statement.run(value)
  database.exec("commit")
}
