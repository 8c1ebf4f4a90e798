import fc from "fast-check"
import { expect, test } from "vitest"
import type { Keeping } from "../../../src/backbone/backbone.js"
import type { StoreAnswer, StoreOp } from "../../../src/backbone/sql/operations.js"
import { SqlStore } from "../../../src/backbone/sql/sql-store.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const keepings: Readonly<Record<string, Keeping>> = {
  newest: { maxEntries: 3, maxBytes: 40, maxAgeMs: 20, atBound: "drop-oldest", on: "disk" },
  many: { maxEntries: 150, atBound: "drop-oldest", on: "disk" },
  full: { maxEntries: 3, maxBytes: 40, maxAgeMs: 20, atBound: "refuse-new", on: "disk" },
  none: { maxEntries: 0, atBound: "drop-oldest", on: "disk" },
}

const of = { family: fc.constantFrom(...Object.keys(keepings)), key: fc.constantFrom("a", "b") }

/** Operations on a few logs; `wait` is how much later than the one before each comes. */
const operations = fc.array(
  fc.record({
    wait: fc.integer({ min: 0, max: 6 }),
    ends: fc.boolean(),
    op: fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ op: fc.constant("append" as const), ...of, id: fc.nat(30), size: fc.nat(25) }),
      },
      fc.record({
        op: fc.constantFrom("read" as const, "last" as const, "stat" as const, "keys" as const),
        ...of,
      }),
      fc.record({ op: fc.constant("trim" as const), ...of, seq: fc.nat(20) }),
      fc.record({ op: fc.constant("expire" as const), ...of }),
    ),
  }),
  { maxLength: 60 },
)

type Operation = (typeof operations extends fc.Arbitrary<infer T> ? T : never)[number]

test("a batch does what its operations do one by one", () => {
  const together = openStore()
  const singly = openStore()
  let run = 0
  fc.assert(
    fc.property(operations, (drawn) => {
      run++
      const batches: StoreOp[][] = [[]]
      let ts = 1_000
      for (const { wait, ends, op } of drawn) {
        ts += wait
        batches.at(-1)?.push(toOp(op, ts, `r${run}`))
        if (ends) batches.push([])
      }
      const all = batches.flat()
      const each = all.flatMap((op) => singly.apply([op]).answers)
      expect(batches.flatMap((ops) => together.apply(ops).answers)).toEqual(each)
      // And leaves the same behind.
      const [report] = together.apply([{ op: "verify" }]).answers
      expect(report).toMatchObject({ ok: true, value: { isWhole: true } })
      expect(everything(together)).toEqual(everything(singly))
    }),
    // One by one each is a write to the disk.
    { numRuns: 40 },
  )
  together.close()
  singly.close()
})

test("entries beyond a bound are dropped whether they came at once or not", () => {
  const store = openStore()
  const appends = Array.from({ length: 500 }, (_, i) =>
    toOp({ op: "append", family: "many", key: "a", id: i, size: 5 }, 1, "r"),
  )
  store.apply(appends)
  const [stat] = store.apply([{ op: "stat", family: "many", key: "r.a", eldestMs: -1 }]).answers
  expect(stat).toEqual({ ok: true, value: { first: 351, last: 500, count: 150 } })
  store.close()
})

function openStore(): SqlStore {
  return new SqlStore({ dir: temporaryDirectory(), create: true, check: false })
}

function toOp(operation: Operation["op"], ts: number, run: string): StoreOp {
  const { family } = operation
  const key = `${run}.${operation.key}`
  const keeping = keepings[family]
  if (keeping === undefined) throw new Error(family)
  const eldestMs = keeping.maxAgeMs === undefined ? -1 : ts - keeping.maxAgeMs
  switch (operation.op) {
    case "append":
      return {
        op: "append",
        family,
        key,
        id: String(operation.id),
        value: "x".repeat(operation.size),
        ts,
        keeping,
      }
    case "read":
      return { op: "read", family, key, eldestMs, after: 0, limit: 100 }
    case "last":
      return { op: "last", family, key, eldestMs, count: 100 }
    case "stat":
      return { op: "stat", family, key, eldestMs }
    case "keys":
      return { op: "keys", family, eldestMs }
    case "trim":
      return { op: "trim", family, key, seq: operation.seq }
    default:
      return { op: "expire", family, eldestMs }
  }
}

function everything(store: SqlStore): StoreAnswer[] {
  return store.apply([{ op: "export", cursor: undefined }]).answers
}
