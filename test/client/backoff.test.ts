import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Backoff } from "../../src/client/backoff.js"

const longest = () => 1 - Number.EPSILON

const waits = (backoff: Backoff, tries: number, random = longest) =>
  Array.from({ length: tries }, () => backoff.next(random))

describe("Backoff", () => {
  it("grows its bound from 1 s to 60 s and stays there", () => {
    const all = waits(new Backoff(), 40)
    expect(all[0]).toBe(999)
    expect(all).toEqual(all.toSorted((a, b) => a - b))
    expect(all.slice(-5)).toEqual([59_999, 59_999, 59_999, 59_999, 59_999])
  })

  it("never waits longer than 1 s or half the time it has waited so far", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 50 }), (chances) => {
        const backoff = new Backoff()
        let waitedMs = 0
        for (const chance of chances) {
          const waitMs = backoff.next(() => chance)
          expect(waitMs).toBeLessThanOrEqual(Math.max(1_000, waitedMs / 2))
          waitedMs += Math.max(waitMs, 250)
        }
      }),
    )
  })

  it("grows its bound even if every wait was 0", () => {
    const backoff = new Backoff()
    expect(waits(backoff, 100, () => 0)).toEqual(Array.from({ length: 100 }, () => 0))
    expect(backoff.next(longest)).toBeGreaterThan(10_000)
  })

  it("starts small again after reset", () => {
    const backoff = new Backoff()
    waits(backoff, 20)
    backoff.reset()
    expect(waits(backoff, 1)).toEqual([999])
  })
})
