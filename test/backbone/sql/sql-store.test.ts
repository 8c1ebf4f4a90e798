import fc from "fast-check"
import { expect, test } from "vitest"
import type { Retention } from "../../../src/backbone/backbone.js"
import { SqlStore } from "../../../src/backbone/sql/sql-store.js"
import type { StoreAnswer, StoreOp } from "../../../src/backbone/sql/worker-protocol.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const retentions: Readonly<Record<string, Retention>> = {
  newest: { maxEntries: 3, maxBytes: 40, maxAgeMs: 20, whenFull: "drop-oldest" },
  many: { maxEntries: 150, whenFull: "drop-oldest" },
  full: { maxEntries: 3, maxBytes: 40, maxAgeMs: 20, whenFull: "refuse-new" },
}

const of = { family: fc.constantFrom(...Object.keys(retentions)), key: fc.constantFrom("a", "b") }

/** Operations on a few logs; `wait` is the time between an operation and the one before it. */
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
        op: fc.constantFrom("read" as const, "last" as const, "stat" as const),
        ...of,
      }),
      fc.record({ op: fc.constant("trim" as const), ...of, seq: fc.nat(20) }),
      fc.record({ op: fc.constant("expire" as const), ...of }),
    ),
  }),
  { maxLength: 60 },
)

type Operation = (typeof operations extends fc.Arbitrary<infer T> ? T : never)[number]

test("a batch has the same effect as its operations one by one", () => {
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
      // The stores must have the same content.
      const [report] = together.apply([{ op: "verify" }]).answers
      expect(report).toMatchObject({ ok: true, value: { isWhole: true } })
      expect(everything(together)).toEqual(everything(singly))
    }),
    // Each operation that runs alone is one write to the disk.
    { numRuns: 40 },
  )
  together.close()
  singly.close()
})

test("entries beyond a bound are dropped, whether appended in one batch or not", () => {
  const store = openStore()
  const appends = Array.from({ length: 500 }, (_, i) =>
    toOp({ op: "append", family: "many", key: "a", id: i, size: 5 }, 1, "r"),
  )
  store.apply(appends)
  const [stat] = store.apply([{ op: "stat", family: "many", key: "r.a", oldestMs: -1 }]).answers
  expect(stat).toEqual({ ok: true, value: { last: 500, count: 150 } })
  store.close()
})

function openStore(): SqlStore {
  return new SqlStore({ dir: temporaryDirectory(), create: true, check: false, ts: 0 })
}

function toOp(operation: Operation["op"], ts: number, run: string): StoreOp {
  const { family } = operation
  const key = `${run}.${operation.key}`
  const retention = retentions[family]
  if (retention === undefined) throw new Error(family)
  const oldestMs = retention.maxAgeMs === undefined ? -1 : ts - retention.maxAgeMs
  switch (operation.op) {
    case "append":
      return {
        op: "append",
        family,
        key,
        id: String(operation.id),
        value: "x".repeat(operation.size),
        digest: undefined,
        ts,
        retention,
      }
    case "read":
      return { op: "read", family, key, oldestMs, after: 0, limit: 100 }
    case "last":
      return { op: "last", family, key, oldestMs, count: 100 }
    case "stat":
      return { op: "stat", family, key, oldestMs }
    case "trim":
      return { op: "trim", family, key, seq: operation.seq }
    default:
      return { op: "expire", family, oldestMs }
  }
}

function everything(store: SqlStore): StoreAnswer[] {
  return store.apply([{ op: "export", cursor: undefined }]).answers
}
