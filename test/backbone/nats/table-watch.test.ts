import fc from "fast-check"
import { expect, test } from "vitest"
import type { RowChange } from "../../../src/backbone/backbone.js"
import { TableWatch } from "../../../src/backbone/nats/nats-table.js"

const row = (key: string, value: string | undefined, revision: number): RowChange => ({
  key,
  value,
  revision,
})

function start(): { watch: TableWatch; changes: RowChange[] } {
  const changes: RowChange[] = []
  const watch = new TableWatch((change) => void changes.push(change))
  watch.start()
  return { watch, changes }
}

test("a watch reports every row, is ready, and reports every change", async () => {
  const { watch, changes } = start()
  watch.take(row("a", "1", 1))
  watch.take(row("gone", undefined, 2))
  watch.caughtUp()
  await watch.isReady
  watch.take(row("a", "2", 3))
  watch.take(row("a", undefined, 4))
  watch.take(row("a", undefined, 5))
  expect(changes).toEqual([row("a", "1", 1), row("a", "2", 3), row("a", undefined, 4)])
})

test("a watch reports after a restart only what changed meanwhile, including rows deleted without a trace", () => {
  const { watch, changes } = start()
  for (const key of ["same", "changed", "gone", "marked"]) watch.take(row(key, "1", 1))
  watch.caughtUp()
  changes.length = 0
  watch.start()
  watch.take(row("same", "1", 1))
  watch.take(row("changed", "2", 6))
  watch.take(row("marked", undefined, 7))
  watch.take(row("new", "1", 8))
  watch.caughtUp()
  expect(changes).toEqual([
    row("changed", "2", 6),
    row("marked", undefined, 7),
    row("new", "1", 8),
    row("gone", undefined, 2),
  ])
})

test("a watch reports nothing after it ended", () => {
  const { watch, changes } = start()
  watch.caughtUp()
  watch.end()
  watch.take(row("a", "1", 1))
  expect(changes).toEqual([])
})

/** A change of a row. If the watch is disconnected at that time, a deletion leaves no trace. */
interface Step {
  readonly key: string
  readonly isDelete: boolean
  readonly isMissed: boolean
}

test("a watch reports the content of the table, however often it restarts and whatever it misses", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c"),
    isDelete: fc.boolean(),
    isMissed: fc.boolean(),
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), expectContent))
})

function expectContent(steps: readonly Step[]): void {
  const { watch, changes } = start()
  watch.caughtUp()
  const table = new Map<string, RowChange>()
  const restart = (): void => {
    watch.start()
    for (const row of [...table.values()].sort((x, y) => x.revision - y.revision)) watch.take(row)
    watch.caughtUp()
  }
  for (const [i, { key, isDelete, isMissed }] of steps.entries()) {
    const change = row(key, isDelete ? undefined : `${i}`, i + 1)
    table.set(key, change)
    if (isDelete && isMissed) table.delete(key)
    if (isMissed) continue
    if (steps[i - 1]?.isMissed === true) restart()
    else watch.take(change)
  }
  restart()
  const seen = new Map(changes.map(({ key, value }) => [key, value]))
  for (const key of ["a", "b", "c"]) expect(seen.get(key)).toBe(table.get(key)?.value)
}
