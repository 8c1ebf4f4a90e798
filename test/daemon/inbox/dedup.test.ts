import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Dedup } from "../../../src/daemon/inbox/dedup.js"

describe("InboxDoubles", () => {
  it("knows an id that was added, and only that", () => {
    const doubles = new Dedup(10)
    expect(doubles.add("a.1")).toBe(true)
    expect(doubles.add("a.1")).toBe(false)
    expect(doubles.has("a.1")).toBe(true)
    expect(doubles.has("a.2")).toBe(false)
  })

  it("agrees with a set as long as nothing is forgotten", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 8 }), { maxLength: 2_000 }), (ids) => {
        const doubles = new Dedup(10_000)
        const set = new Set<string>()
        for (const id of ids) {
          expect(doubles.add(id)).toBe(!set.has(id))
          set.add(id)
        }
      }),
    )
  })

  it("remembers at least the newest ones and forgets old ones", () => {
    const doubles = new Dedup(1_000)
    for (let i = 0; i < 10_000; i++) expect(doubles.add(`a.${i}`)).toBe(true)
    for (let i = 9_000; i < 10_000; i++) expect(doubles.has(`a.${i}`)).toBe(true)
    expect(doubles.has("a.7000")).toBe(false)
  })
})
