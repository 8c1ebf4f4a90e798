import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LruMap } from "../../src/base/lru-map.js"

const bound = 7
const keys = fc.constantFrom("", "a", "b", "ab", "a b", "c", "d", "e", "f", "g", "h")

const steps = fc.oneof(
  fc.record({ step: fc.constant("set"), key: keys, value: fc.nat(20) }),
  fc.record({ step: fc.constant("get"), key: keys }),
  fc.record({ step: fc.constant("peek"), key: keys }),
  fc.record({ step: fc.constant("delete"), key: keys }),
)

describe("LruMap", () => {
  it("holds what a plain list of the most recently used entries holds", () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 60 }), (all) => {
        const evicted: [string, number][] = []
        const map = new LruMap<string, number>(bound, (key, value) => evicted.push([key, value]))
        let list: [string, number][] = []
        const expectedEvictions: [string, number][] = []
        for (const { step, key, ...rest } of all) {
          const known = list.find(([each]) => each === key)
          const others = list.filter(([each]) => each !== key)
          if (step === "get") {
            expect(map.get(key)).toBe(known?.[1])
            if (known !== undefined) list = [...others, known]
          } else if (step === "peek") {
            expect(map.peek(key)).toBe(known?.[1])
            expect(map.has(key)).toBe(known !== undefined)
          } else if (step === "delete") {
            expect(map.delete(key)).toBe(known !== undefined)
            list = others
          } else {
            const value = (rest as { value: number }).value
            map.set(key, value)
            list = [...others, [key, value]]
            if (list.length > bound) expectedEvictions.push(...list.splice(0, 1))
          }
          expect([...map]).toEqual(list)
          expect(map.size).toBe(list.length)
        }
        expect(evicted).toEqual(expectedEvictions)
      }),
      { numRuns: 300 },
    )
  })

  it("allows deleting the current entry while iterating", () => {
    const map = new LruMap<string, number>(bound)
    for (const [n, key] of ["a", "b", "c", "d"].entries()) map.set(key, n)
    for (const [key, n] of map) if (n % 2 === 0) map.delete(key)
    expect([...map]).toEqual([
      ["b", 1],
      ["d", 3],
    ])
  })

  it("is empty after clear", () => {
    const map = new LruMap<string, number>(bound)
    map.set("a", 1)
    map.clear()
    expect([map.size, map.get("a"), ...map]).toEqual([0, undefined])
    map.set("b", 2)
    expect([...map]).toEqual([["b", 2]])
  })
})
