import process from "node:process"
import { openSqliteBackbone } from "../../src/backbone/sql/sqlite-backbone.js"
import { systemClock } from "../../src/base/clock.js"

/*
 * Appends to a store without end, to be killed at any moment. Prints the number of each entry once it was answered,
 * and writes it into the row of its log as well.
 *
 *     node store-child.js DIR FIRST WORKER_FILE
 */
const [dir = "", first = "1", workerFile = ""] = process.argv.slice(2)

const backbone = await openSqliteBackbone({ dir, clock: systemClock, log: () => {}, workerFile })
const logs = await backbone.logs("log", { maxEntries: 1_000_000, whenFull: "drop-oldest" })
const table = await backbone.table("newest")

let next = Number(first)

function append(n: number): void {
  const key = `key${n % 3}`
  // Below and above a page.
  const value = `${n} ${"x".repeat(n % 41 === 0 ? 50_000 : (n * 53) % 700)}`
  const kept = Promise.all([logs.append(key, `id-${n}`, value), table.put(key, String(n))])
  void kept.then(() => process.stdout.write(`${n}\n`))
}

function appendSome(): void {
  for (let count = 1 + (next % 17); count > 0; count--) append(next++)
  setTimeout(appendSome, next % 3)
}

appendSome()
