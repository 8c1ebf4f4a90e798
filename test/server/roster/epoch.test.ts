import fc from "fast-check"
import { expect, it } from "vitest"
import { epochAfter } from "../../../src/server/roster/epoch.js"

it("is over the one before, whatever the clocks of the relays say", () => {
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

it("stands by its time where nothing is known of another, and is no other session's of the same time", () => {
  const [first, second, later] = [
    epochAfter(9, undefined),
    epochAfter(9, undefined),
    epochAfter(10, undefined),
  ]
  expect(first).not.toBe(second)
  expect(first < later && second < later).toBe(true)
})
