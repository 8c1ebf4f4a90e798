import { describe, expect, it } from "vitest"
import { expectedScore, gainOf, kFactor, lossOf, taskWeight, trustedGainOf } from "../../src/ratings/fold.js"

const even = { k: 32, weight: 1, expected: 0.5, nth: 1 }

describe("the rating formulas", () => {
  it.each([
    [0, 32],
    [29, 32],
    [30, 24],
    [99, 24],
    [100, 16],
    [5_000, 16],
  ])("the K-factor after %i transactions is %i", (transactions, k) => {
    expect(kFactor(transactions)).toBe(k)
  })

  it.each([
    [1200, 1200, 1 / 2],
    [1200, 1600, 1 / 11],
    [1600, 1200, 10 / 11],
    [1000, 1800, 1 / 101],
  ])("the expected score of %i against %i is %f", (own, other, expected) => {
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
  ])("an amount of %s has the weight %f", (amount, weight) => {
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
  ])("deal %i of two agents with equal ratings gains %i", (nth, gain) => {
    expect(gainOf({ ...even, nth })).toBe(gain)
  })

  it("rounds a repeated gain to 0, but never a first one", () => {
    expect(gainOf({ ...even, expected: 0.999 })).toBe(1)
    expect(gainOf({ ...even, expected: 0.999, nth: 2 })).toBe(0)
  })

  it("never rounds a loss to 0, and does not reduce it for repeated deals", () => {
    expect(lossOf({ ...even, expected: 0.001 })).toBe(1)
    expect(lossOf({ ...even, nth: 9 })).toBe(16)
    expect(lossOf({ ...even, weight: 3, expected: 10 / 11 })).toBe(87)
  })

  it("multiplies a gain by trust, down to 0", () => {
    expect(trustedGainOf(even, 1)).toBe(gainOf(even))
    expect(trustedGainOf(even, 0.25)).toBe(4)
    expect(trustedGainOf(even, 0)).toBe(0)
  })
})
