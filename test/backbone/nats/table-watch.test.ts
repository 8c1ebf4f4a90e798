import fc from "fast-check"
import { expect, test } from "vitest"
import type { RowChange } from "../../../src/backbone/backbone.js"
import { TableWatch } from "../../../src/backbone/nats/table-watch.js"

const row = (key: string, value: string | undefined, revision: number): RowChange => ({
  key,
  value,
  revision,
})

function start(): { watch: TableWatch; told: RowChange[] } {
  const told: RowChange[] = []
  const watch = new TableWatch((change) => void told.push(change))
  watch.begin("first")
  return { watch, told }
}

test("tells what stands, is ready, and tells what changes", async () => {
  const { watch, told } = start()
  watch.take(row("a", "1", 1))
  watch.take(row("gone", undefined, 2))
  watch.caughtUp()
  await watch.isReady
  watch.take(row("a", "2", 3))
  watch.take(row("a", undefined, 4))
  watch.take(row("a", undefined, 5))
  expect(told).toEqual([row("a", "1", 1), row("a", "2", 3), row("a", undefined, 4)])
})

test("a new beginning tells only what changed, also what is gone without a trace", () => {
  const { watch, told } = start()
  for (const key of ["same", "changed", "gone", "marked"]) watch.take(row(key, "1", 1))
  watch.caughtUp()
  told.length = 0
  watch.begin("first")
  watch.take(row("same", "1", 1))
  watch.take(row("changed", "2", 6))
  watch.take(row("marked", undefined, 7))
  watch.take(row("new", "1", 8))
  watch.caughtUp()
  expect(told).toEqual([
    row("changed", "2", 6),
    row("marked", undefined, 7),
    row("new", "1", 8),
    row("gone", undefined, 2),
  ])
})

test("in another life of the table every row is told, whatever its revision", () => {
  const { watch, told } = start()
  watch.take(row("a", "1", 100))
  watch.take(row("b", "1", 101))
  watch.caughtUp()
  told.length = 0
  watch.begin("second")
  watch.take(row("a", "2", 1))
  watch.caughtUp()
  expect(told.map(({ key, value }) => [key, value])).toEqual([
    ["a", "2"],
    ["b", undefined],
  ])
})

test("nothing is told once it ended", () => {
  const { watch, told } = start()
  watch.caughtUp()
  watch.end()
  watch.take(row("a", "1", 1))
  expect(told).toEqual([])
})

/** A change, and whether the watcher was cut off then; a deletion it missed leaves no trace. */
interface Step {
  readonly key: string
  readonly isDelete: boolean
  readonly isMissed: boolean
}

test("what it told is the table, however often it begins anew and whatever it misses", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c"),
    isDelete: fc.boolean(),
    isMissed: fc.boolean(),
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), expectTold))
})

function expectTold(steps: readonly Step[]): void {
  const { watch, told } = start()
  watch.caughtUp()
  const table = new Map<string, RowChange>()
  const beginAnew = (): void => {
    watch.begin("first")
    for (const stands of [...table.values()].sort((x, y) => x.revision - y.revision)) watch.take(stands)
    watch.caughtUp()
  }
  for (const [i, { key, isDelete, isMissed }] of steps.entries()) {
    const change = row(key, isDelete ? undefined : `${i}`, i + 1)
    table.set(key, change)
    if (isDelete && isMissed) table.delete(key)
    if (isMissed) continue
    if (steps[i - 1]?.isMissed === true) beginAnew()
    else watch.take(change)
  }
  beginAnew()
  const seen = new Map(told.map(({ key, value }) => [key, value]))
  for (const key of ["a", "b", "c"]) expect(seen.get(key)).toBe(table.get(key)?.value)
}
