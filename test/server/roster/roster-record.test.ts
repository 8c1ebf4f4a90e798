import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { epochAfter, parseRecord } from "../../../src/server/roster/roster-record.js"

describe("epochAfter", () => {
  it("returns a later epoch than the one before, whatever the clocks of the relays say", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 48 - 1), { minLength: 2 }), (times) => {
        let last: string | undefined
        for (const time of times) {
          const epoch = epochAfter(time, last)
          if (last !== undefined) expect(epoch > last).toBe(true)
          last = epoch
        }
      }),
    )
  })

  it("epochs sort by time, and differ between sessions that start at the same time", () => {
    const [first, second, later] = [
      epochAfter(9, undefined),
      epochAfter(9, undefined),
      epochAfter(10, undefined),
    ]
    expect(first).not.toBe(second)
    expect(first < later && second < later).toBe(true)
  })
})

it("parsing ignores a row of another version", () => {
  expect(parseRecord("x", "{")).toBeUndefined()
  expect(parseRecord("x", JSON.stringify({ v: 2, name: "bob" }))).toBeUndefined()
})
