import { describe, expect, it } from "vitest"
import { expectedScore, gainOf, kFactor, lossOf, taskWeight, trustedGainOf } from "../../src/ratings/fold.js"

const even = { k: 32, weight: 1, expected: 0.5, nth: 1 }

describe("the formulas", () => {
  it.each([
    [0, 32],
    [29, 32],
    [30, 24],
    [99, 24],
    [100, 16],
    [5_000, 16],
  ])("K after %i transactions is %i", (transactions, k) => {
    expect(kFactor(transactions)).toBe(k)
  })

  it.each([
    [1200, 1200, 1 / 2],
    [1200, 1600, 1 / 11],
    [1600, 1200, 10 / 11],
    [1000, 1800, 1 / 101],
  ])("%i against %i is expected to have %f", (own, other, expected) => {
    expect(expectedScore(own, other)).toBeCloseTo(expected, 12)
  })

  it.each([
    [undefined, 1],
    ["0", 1],
    ["0.05", 1 + Math.log10(1.05)],
    ["9", 2],
    ["99", 3],
    ["100", 3],
    ["999999999999999999999.999999999999999999", 3],
  ])("an amount of %s weighs %f", (amount, weight) => {
    expect(taskWeight(amount)).toBeCloseTo(weight, 12)
  })

  it.each([
    [1, 16],
    [2, 4],
    [3, 2],
    [4, 1],
    [5, 1],
    [6, 0],
    [7, 0],
  ])("deal %i of an even pair brings %i", (nth, gain) => {
    expect(gainOf({ ...even, nth })).toBe(gain)
  })

  it("a first gain is never nothing, a repeated one may be", () => {
    expect(gainOf({ ...even, expected: 0.999 })).toBe(1)
    expect(gainOf({ ...even, expected: 0.999, nth: 2 })).toBe(0)
  })

  it("a loss is never nothing, and the same however often the two have met", () => {
    expect(lossOf({ ...even, expected: 0.001 })).toBe(1)
    expect(lossOf({ ...even, nth: 9 })).toBe(16)
    expect(lossOf({ ...even, weight: 3, expected: 10 / 11 })).toBe(87)
  })

  it("a gain counts as far as its giver is trusted, down to nothing", () => {
    expect(trustedGainOf(even, 1)).toBe(gainOf(even))
    expect(trustedGainOf(even, 0.25)).toBe(4)
    expect(trustedGainOf(even, 0)).toBe(0)
  })
})
