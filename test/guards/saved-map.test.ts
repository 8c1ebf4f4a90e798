import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { SavedMap } from "../../src/guards/saved-map.js"

const count = 7
const keys = fc.constantFrom("", "a", "b", "ab", "a b", "c", "d", "e", "f", "g", "h")

/** What may be done to one: the same to a list that is as simple as can be, the oldest first. */
const steps = fc.oneof(
  fc.record({ act: fc.constant("set"), key: keys, value: fc.nat(20) }),
  fc.record({ act: fc.constant("get"), key: keys }),
  fc.record({ act: fc.constant("delete"), key: keys }),
  fc.record({ act: fc.constant("forget"), below: fc.nat(20) }),
)

describe("what was touched last", () => {
  it("is what a plain list would keep, whatever is looked up, set and forgotten", () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 60 }), (all) => {
        const recent = new SavedMap<number>(count, 1_000)
        let list: (readonly [string, number])[] = []
        for (const step of all) {
          if (step.act === "get") {
            expect(recent.get(step.key)).toBe(list.find(([key]) => key === step.key)?.[1])
          } else if (step.act === "delete") {
            recent.delete(step.key)
            list = list.filter(([key]) => key !== step.key)
          } else if (step.act === "forget") {
            recent.forgetWhile((value) => value < step.below)
            while (list[0] !== undefined && list[0][1] < step.below) list.shift()
          } else {
            const { key, value } = step
            recent.set(key, value)
            list = [...list.filter(([each]) => each !== key), [key, value] as const].slice(-count)
          }
          expect(recent.entries()).toEqual(list)
          expect(recent.size).toBe(list.length)
          expect(recent.newest).toBe(list.at(-1)?.[1])
        }
        for (const [key, value] of list) expect(recent.get(key)).toBe(value)
        expect(JSON.parse(JSON.stringify(recent.save()))).toEqual(list)
      }),
      { numRuns: 300 },
    )
  })

  it("finds the newest for which something holds", () => {
    const recent = new SavedMap<number>(count, 0)
    for (const [n, key] of ["a", "b", "c", "d", "e", "f"].entries()) recent.set(key, n)
    recent.set("b", 10)
    expect(recent.find((value) => value % 2 === 0)).toBe(10)
    expect(recent.find((value) => value < 4)).toBe(3)
    expect(recent.find((value) => value > 10)).toBeUndefined()
  })
})
