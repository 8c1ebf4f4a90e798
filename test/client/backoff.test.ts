import { describe, expect, it } from "vitest"
import { Backoff } from "../../src/client/backoff.js"

const bounds = (backoff: Backoff, tries: number) =>
  Array.from({ length: tries }, () => backoff.next(() => 1 - Number.EPSILON))

describe("Backoff", () => {
  it("doubles its bound from 1 s to 60 s and stays there for ever", () => {
    const expected = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000 - 1)
    expect(bounds(new Backoff(), 9)).toEqual(expected)
  })

  it("jitters over the whole range, down to no wait", () => {
    const backoff = new Backoff()
    expect(backoff.next(() => 0)).toBe(0)
    expect(backoff.next(() => 0.5)).toBe(1_000)
    expect(backoff.next(() => 0.25)).toBe(1_000)
  })

  it("begins small again after a success", () => {
    const backoff = new Backoff()
    bounds(backoff, 5)
    backoff.reset()
    expect(bounds(backoff, 1)).toEqual([999])
  })
})
