import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Dedup } from "../../../src/daemon/inbox/dedup.js"

describe("Dedup", () => {
  it("knows the ids that were added, and no others", () => {
    const dedup = new Dedup(10)
    expect(dedup.add("a.1")).toBe(true)
    expect(dedup.add("a.1")).toBe(false)
    expect(dedup.has("a.1")).toBe(true)
    expect(dedup.has("a.2")).toBe(false)
  })

  it("agrees with a Set until it forgets", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 8 }), { maxLength: 2_000 }), (ids) => {
        const dedup = new Dedup(10_000)
        const set = new Set<string>()
        for (const id of ids) {
          expect(dedup.add(id)).toBe(!set.has(id))
          set.add(id)
        }
      }),
    )
  })

  it("remembers at least the newest ids and forgets old ones", () => {
    const dedup = new Dedup(1_000)
    for (let i = 0; i < 10_000; i++) expect(dedup.add(`a.${i}`)).toBe(true)
    for (let i = 9_000; i < 10_000; i++) expect(dedup.has(`a.${i}`)).toBe(true)
    expect(dedup.has("a.7000")).toBe(false)
  })
})
