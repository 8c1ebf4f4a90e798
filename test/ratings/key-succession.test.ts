import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { historyOf } from "../../src/ratings/history.js"
import { type KeyEnd, KeySuccession } from "../../src/ratings/key-succession.js"
import { trustFrom } from "../../src/ratings/trust.js"
import { ratingsAfter, record } from "./records.js"

/** Returns the end of `key`: a rotation to `successor`, or without one a revocation. */
function end(key: string, successor: string | undefined, ts: number): KeyEnd {
  return { key, successor, ts }
}

const letters = ["a", "b", "c", "d", "e"] as const
const anyEnd = fc.record({
  key: fc.constantFrom(...letters),
  successor: fc.constantFrom(undefined, ...letters),
  ts: fc.nat(6),
})
const anyRecords = fc
  .array(
    fc.record({
      pair: fc.uniqueArray(fc.constantFrom(...letters), { minLength: 2, maxLength: 2 }),
      ts: fc.nat(6),
    }),
    { maxLength: 30 },
  )
  .map((deals) =>
    deals.map(({ pair: [a = "", b = ""], ts }, n) => record(a, b, n, { signedTs: [ts, ts], ts })),
  )

describe("KeySuccession", () => {
  it("a key without statements never ends", () => {
    const keys = new KeySuccession()
    expect(keys.newestOf("a")).toBe("a")
    expect(keys.endOf("a")).toBe(Number.POSITIVE_INFINITY)
  })

  it.each<[string, readonly KeyEnd[], Record<string, string>]>([
    ["a rotation", [end("a", "b", 5)], { a: "b" }],
    ["a rotation stated twice", [end("a", "b", 5), end("a", "b", 7)], { a: "b" }],
    [
      "several rotations in a row",
      [end("a", "b", 1), end("b", "c", 2), end("c", "d", 3)],
      { a: "d", b: "d", c: "d" },
    ],
    ["two rotations to one key", [end("a", "c", 1), end("b", "c", 2)], { a: "c", b: "c" }],
    ["a revocation", [end("a", undefined, 5)], {}],
    ["a rotation, and a later revocation", [end("a", "b", 5), end("a", undefined, 6)], { a: "b" }],
    ["a revocation, and a later rotation", [end("a", undefined, 5), end("a", "b", 6)], {}],
    ["a rotation and a revocation at the same time", [end("a", undefined, 5), end("a", "b", 5)], {}],
    ["a successor that was revoked later", [end("a", "b", 5), end("b", undefined, 6)], { a: "b" }],
    ["a successor that had ended already", [end("a", "b", 5), end("b", "c", 4)], { b: "c" }],
    ["contradicting rotations", [end("a", "b", 1), end("a", "c", 2), end("c", "d", 3)], { c: "d" }],
    [
      "contradicting rotations, one of them repeated",
      [end("a", "b", 1), end("a", "c", 2), end("a", "b", 3)],
      {},
    ],
    ["a rotation to the same key", [end("a", "a", 1)], {}],
    [
      "a cycle whose last rotation came after the end of its key",
      [end("a", "b", 1), end("b", "a", 2)],
      { a: "b" },
    ],
    ["a cycle of rotations at one time", [end("a", "b", 1), end("b", "c", 1), end("c", "a", 1)], {}],
  ])("handles %s", (_, ends, expected) => {
    for (const given of [ends, [...ends].reverse()]) {
      expect(Object.fromEntries(new KeySuccession(given).replaced)).toEqual(expected)
    }
  })

  it("a key ends at the first statement about it, even if that is not followed", () => {
    const ends = [end("a", "b", 5), end("a", "c", 3), end("a", undefined, 9)]
    expect(new KeySuccession(ends).endOf("a")).toBe(3)
    expect(new KeySuccession(ends).contradicted).toEqual(["a"])
  })

  it("newestOf returns a key that was not replaced, for any statements in any order", () => {
    fc.assert(
      fc.property(
        fc
          .array(anyEnd, { maxLength: 12 })
          .chain((ends) =>
            fc.tuple(fc.constant(ends), fc.shuffledSubarray(ends, { minLength: ends.length })),
          ),
        ([ends, shuffled]) => {
          const [one, other] = [new KeySuccession(ends), new KeySuccession(shuffled)]
          expect(new Map([...other.replaced].sort())).toEqual(new Map([...one.replaced].sort()))
          expect(other.contradicted).toEqual(one.contradicted)
          for (const newest of one.replaced.values()) expect(one.newestOf(newest)).toBe(newest)
        },
      ),
    )
  })

  it("follows many rotations in a row", () => {
    const ends = Array.from({ length: 20_000 }, (_, n) => end(`k${n}`, `k${n + 1}`, n))
    expect(new KeySuccession(ends).newestOf("k0")).toBe("k20000")
  })
})

describe("ratings over a rotation", () => {
  it("the rating after a rotation is as if the current key had made all deals", () => {
    const keys = new KeySuccession([end("a", "A", 10_000)])
    const rotated = [record("a", "b", 1), record("c", "a", 2), record("A", "b", 11)]
    const plain = [record("A", "b", 1), record("c", "A", 2), record("A", "b", 11)]
    expect(ratingsAfter(rotated, {}, keys)).toEqual(ratingsAfter(plain))
    expect(Object.keys(ratingsAfter(rotated, {}, keys)).sort()).toEqual(["A", "b", "c"])
  })

  it("the new key continues the number of deals of a pair", () => {
    const keys = new KeySuccession([end("a", "A", 10_000)])
    const records = [record("a", "b", 1), record("A", "b", 11)]
    expect(ratingsAfter(records, {}, keys)["b"]).toBe(1220)
    expect(ratingsAfter(records)["b"]).toBeGreaterThan(1230)
  })

  it("ratings skip deals that the old key signed at or after the rotation", () => {
    const keys = new KeySuccession([end("a", "A", 2_000)])
    expect(ratingsAfter([record("a", "b", 1), record("a", "c", 2)], {}, keys)).toEqual({
      A: 1216,
      b: 1216,
    })
  })

  it("a deal between two keys of one agent does not count", () => {
    const records = [record("a", "A", 1), record("a", "b", 2)]
    const keys = new KeySuccession([end("a", "A", 10_000)])
    expect(historyOf(records, keys)).toHaveLength(1)
    expect(ratingsAfter(records, {}, keys)).toEqual({ A: 1216, b: 1216 })
    expect(historyOf(records, new KeySuccession([end("a", "M", 9_000), end("A", "M", 9_000)]))).toHaveLength(
      1,
    )
  })

  it("trust passes to the new key", () => {
    const records = [record("me", "a", 1), record("a", "x", 2)]
    const trustIn = trustFrom(["me"], historyOf(records, new KeySuccession([end("a", "A", 10_000)])))
    const before = trustFrom(["me"], historyOf(records))
    expect([trustIn("A"), trustIn("x"), trustIn("a")]).toEqual([before("a"), before("x"), 0])
  })

  it("ratings do not depend on the order of receipts and statements about keys", () => {
    const shuffled = <T>(items: readonly T[]) => fc.shuffledSubarray([...items], { minLength: items.length })
    const anything = fc
      .tuple(anyRecords, fc.array(anyEnd, { maxLength: 8 }))
      .chain(([records, ends]) =>
        fc.tuple(fc.constant(records), fc.constant(ends), shuffled(records), shuffled(ends)),
      )
    fc.assert(
      fc.property(anything, ([records, ends, otherRecords, otherEnds]) => {
        expect(ratingsAfter(otherRecords, {}, new KeySuccession(otherEnds))).toEqual(
          ratingsAfter(records, {}, new KeySuccession(ends)),
        )
      }),
    )
  })
})
