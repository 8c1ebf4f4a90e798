import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { foldRatings, type Move } from "../../src/ratings/fold.js"
import type { Outcome } from "../../src/ratings/history.js"
import { historyOf } from "../../src/ratings/history.js"
import { KeySuccession } from "../../src/ratings/key-succession.js"
import { ratingsAfter, record, strangers } from "./records.js"

const outcomes: readonly Outcome[] = ["completed", "unresolved", "proposer", "recipient", "mutual"]

const anyRecord = fc
  .record({
    pair: fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 2, maxLength: 2 }),
    n: fc.nat(2),
    version: fc.integer({ min: 3, max: 6 }),
    ts: fc.nat(5),
    outcome: fc.constantFrom(...outcomes),
    amount: fc.constantFrom(undefined, "0.5", "7", "100000"),
  })
  .map(({ pair: [a = "", b = ""], n, version, ...changes }) => {
    const head = [a, b, n, version, ...Object.values(changes)].join()
    return record(a, b, n, { ...changes, proposal: `${a}${b}${n}`, head, steps: version })
  })

const endOf = (key: string, ts: number) => new KeySuccession([{ key, successor: undefined, ts }])

describe("foldRatings", () => {
  it("gives two new agents 1216 each after one completed deal without an amount", () => {
    expect(ratingsAfter([record("a", "b", 1)])).toEqual({ a: 1216, b: 1216 })
  })

  it("gives more points for a counterparty with a higher rating", () => {
    const after = ratingsAfter([...strangers("a", 20), record("a", "b", 50)])
    const before = ratingsAfter(strangers("a", 20))
    expect((after["b"] ?? 0) - 1200).toBeGreaterThan(16)
    expect((after["a"] ?? 0) - (before["a"] ?? 0)).toBeLessThan(16)
  })

  it.each<[Outcome, number, number]>([
    ["completed", 1216, 1216],
    ["proposer", 1184, 1216],
    ["recipient", 1216, 1184],
    ["mutual", 1184, 1184],
  ])("%s leaves the proposer at %i and the recipient at %i", (outcome, proposer, recipient) => {
    expect(ratingsAfter([record("a", "b", 1, { outcome })])).toEqual({ a: proposer, b: recipient })
  })

  it("ignores an unresolved dispute, also in the number of deals of the pair", () => {
    const unresolved = record("a", "b", 1, { outcome: "unresolved" })
    expect(ratingsAfter([unresolved])).toEqual({})
    expect(ratingsAfter([unresolved, record("b", "a", 2)])).toEqual({ a: 1216, b: 1216 })
  })

  it("gives a quarter of the points for the second deal of a pair, whoever proposed it", () => {
    const first = ratingsAfter([record("a", "b", 1)])
    const second = ratingsAfter([record("a", "b", 1), record("b", "a", 2)])
    expect((second["a"] ?? 0) - (first["a"] ?? 0)).toBe(4)
  })

  it("takes as many points for the hundredth fault of a pair as for the first", () => {
    const completions = Array.from({ length: 20 }, (_, i) => record("a", "b", i + 1))
    const moves: Move[] = []
    foldRatings(historyOf([...completions, record("a", "b", 99, { outcome: "proposer" })]), {
      onMove: (move) => moves.push(move),
    })
    expect(moves.filter(({ after, before }) => after < before)).toMatchObject([
      { agent: "a", nth: 21, before: 1224, after: 1208 },
    ])
  })

  it("uses K-factor 24 from the 31st deal on, and 16 from the 101st", () => {
    const ks: number[] = []
    foldRatings(strangers("a", 102), {
      onMove: ({ agent, k }) => {
        if (agent === "a") ks.push(k)
      },
    })
    expect([ks[29], ks[30], ks[99], ks[100]]).toEqual([32, 24, 24, 16])
  })

  it("never lowers a rating below 100", () => {
    const faults = Array.from({ length: 1_000 }, (_, i) =>
      record("a", `x${i}`, i, { outcome: "proposer", amount: "1000" }),
    )
    expect(ratingsAfter(faults)["a"]).toBe(100)
  })

  it("computes both changes from the ratings before the deal", () => {
    const moves: Move[] = []
    foldRatings([record("a", "b", 1)], { onMove: (move) => moves.push(move) })
    expect(moves.map(({ expected }) => expected)).toEqual([0.5, 0.5])
  })

  it("reports every change of a rating, and the changes add up to it", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 40 }), (records) => {
        const last = new Map<string, number>()
        const standings = foldRatings(historyOf(records), {
          onMove: ({ agent, before, after }) => {
            expect(before).toBe(last.get(agent) ?? 1200)
            last.set(agent, after)
          },
        })
        expect(new Map(Array.from(standings, ([did, { rating }]) => [did, rating]))).toEqual(last)
      }),
    )
  })
})

describe("historyOf", () => {
  it("orders deals by time, then by the proposal's hash", () => {
    const records = [
      record("a", "b", 3),
      record("a", "c", 1, { proposal: "z" }),
      record("b", "c", 1, { proposal: "y" }),
    ]
    expect(historyOf(records).map(({ proposal }) => proposal)).toEqual(["y", "z", "p3"])
  })

  it("the history has each deal once, by its longest receipt", () => {
    const completed = record("a", "b", 1)
    const disputed = record("a", "b", 1, { steps: 4, head: "h1b", outcome: "unresolved" })
    for (const records of [
      [completed, disputed, completed],
      [disputed, completed],
    ]) {
      expect(historyOf(records)).toEqual([disputed])
    }
  })

  it("skips receipts signed at or after the end of a key, and falls back to earlier ones", () => {
    const completed = record("a", "b", 1, { signedTs: [1_000, 1_000] })
    const disputed = record("a", "b", 1, {
      steps: 4,
      head: "h1b",
      signedTs: [9_000, 1_000],
      outcome: "unresolved",
    })
    expect(historyOf([completed, disputed], endOf("a", 9_000))).toEqual([completed])
    expect(historyOf([completed, disputed], endOf("a", 9_001))).toEqual([disputed])
    expect(historyOf([completed, disputed], endOf("b", 1_000))).toEqual([])
  })

  it("the history does not depend on the order of receipts or their split into files", () => {
    fc.assert(
      fc.property(
        fc
          .array(anyRecord, { maxLength: 40 })
          .chain((records) =>
            fc.tuple(
              fc.constant(records),
              fc.shuffledSubarray(records, { minLength: records.length }),
              fc.array(fc.boolean(), { minLength: records.length, maxLength: records.length }),
            ),
          ),
        ([records, shuffled, sides]) => {
          const one = records.filter((_, i) => sides[i])
          const other = records.filter((_, i) => !sides[i])
          const outcomeOf = (all: typeof records) => JSON.stringify([...foldRatings(historyOf(all))])
          const expected = outcomeOf(records)
          expect(outcomeOf(shuffled)).toBe(expected)
          expect(outcomeOf([...one, ...other])).toBe(expected)
          expect(outcomeOf([...other, ...one, ...one])).toBe(expected)
        },
      ),
    )
  })

  it("historyOf does not modify its input", () => {
    const records = Object.freeze(
      [record("a", "b", 2), record("b", "c", 1)].map((item) => Object.freeze(item)),
    )
    const before = structuredClone(records)
    const history = Object.freeze(historyOf(records))
    expect(foldRatings(history)).toEqual(foldRatings(history))
    expect(records).toEqual(before)
  })
})
