import { describe, expect, it } from "vitest"
import type { DealRecord } from "../../src/ratings/history.js"
import { historyOf } from "../../src/ratings/history.js"
import { trustFrom } from "../../src/ratings/trust.js"
import { ratingsAfter, record } from "./records.js"

/** Returns a deal of every two members of a ring. */
function ring(names: readonly string[], from: number): DealRecord[] {
  const pairs = names.flatMap((a, i) => names.slice(i + 1).map((b) => [a, b] as const))
  return pairs.map(([a, b], i) => record(a, b, from + i))
}

const honest = [record("me", "h1", 1), record("me", "h2", 2), record("h1", "h2", 3)]

function seenBy(named: readonly string[], records: readonly DealRecord[]): Record<string, number> {
  return ratingsAfter(records, { trustIn: trustFrom(named, historyOf(records)) })
}

describe("trustFrom", () => {
  it("trusts a named agent fully, also without deals", () => {
    const trustIn = trustFrom(["me", "loner"], historyOf(honest))
    expect([trustIn("me"), trustIn("loner")]).toEqual([1, 1])
  })

  it("gives no trust to a ring that is not reachable, and its deals gain nothing", () => {
    const records = [...honest, ...ring(["s1", "s2", "s3", "s4"], 10)]
    expect(trustFrom(["me"], historyOf(records))("s1")).toBe(0)
    const seen = seenBy(["me"], records)
    expect([seen["s1"], seen["s2"], seen["s3"], seen["s4"]]).toEqual([1200, 1200, 1200, 1200])
    expect(seen["h1"]).toBeGreaterThan(1200)
  })

  it("gives less trust with distance", () => {
    const chain = ["me", "b", "c", "d"]
      .slice(1)
      .map((name, i) => record(["me", "b", "c"][i] ?? "", name, i + 1))
    const trustIn = trustFrom(["me"], historyOf(chain))
    expect(trustIn("c")).toBeGreaterThan(trustIn("d"))
    expect(trustIn("d")).toBeGreaterThan(0)
  })

  it("does not pass trust over a dispute", () => {
    const records = [
      record("me", "x", 1, { outcome: "recipient" }),
      record("me", "y", 2, { outcome: "unresolved" }),
    ]
    const trustIn = trustFrom(["me"], historyOf(records))
    expect([trustIn("x"), trustIn("y")]).toEqual([0, 0])
  })

  it("divides trust among agents behind one link", () => {
    const sumBehind = (size: number) => {
      const names = Array.from({ length: size }, (_, i) => `s${i}`)
      const trustIn = trustFrom(["me"], historyOf([...honest, record("h1", "s0", 5), ...ring(names, 10)]))
      return names.reduce((sum, name) => sum + trustIn(name), 0)
    }
    expect(sumBehind(40)).toBeLessThan(sumBehind(4) * 1.5)
  })

  it("gives more trust to deals with several agents than to repeated deals with one", () => {
    const repeats = Array.from({ length: 50 }, (_, i) => record("me", "often", 10 + i))
    const trustIn = trustFrom(["me"], historyOf([...honest, ...repeats]))
    expect(trustIn("often")).toBeLessThan(2 * trustIn("h1"))
  })

  it("scales gains by trust, but not losses", () => {
    const records = [...honest, record("s1", "me", 10, { outcome: "proposer" })]
    expect(seenBy(["me"], records)["s1"]).toBeLessThan(1190)
  })

  it("trust does not depend on the order or repetition of the named agents", () => {
    const one = trustFrom(["me", "h1"], historyOf(honest))
    const other = trustFrom(["h1", "me", "h1"], historyOf(honest))
    for (const name of ["me", "h1", "h2"]) expect(other(name)).toBeCloseTo(one(name), 12)
  })
})
