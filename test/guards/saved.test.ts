import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LruMap } from "../../src/base/lru-map.js"
import { deleteWhere, formatEntries, loadEntries } from "../../src/guards/saved.js"

const entries = fc.uniqueArray(fc.tuple(fc.string(), fc.nat()), { selector: ([key]) => key, maxLength: 20 })

function mapOf(list: readonly (readonly [string, number])[]): LruMap<string, number> {
  const map = new LruMap<string, number>(100)
  for (const [key, value] of list) map.set(key, value)
  return map
}

describe("formatEntries", () => {
  it("keeps the newest entries that fit, oldest first", () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 2, max: 200 }), (list, most) => {
        const text = formatEntries(mapOf(list), most)
        const saved = JSON.parse(text) as typeof list
        expect(text.length).toBeLessThanOrEqual(most)
        expect(saved).toEqual(list.slice(list.length - saved.length))
        const next = list[list.length - saved.length - 1]
        if (next !== undefined)
          expect(text.length + JSON.stringify(next).length + 1).toBeGreaterThan(most - 1)
      }),
    )
  })
})

describe("loadEntries", () => {
  it("restores what formatEntries wrote, in its order", () => {
    fc.assert(
      fc.property(entries, (list) => {
        const map = new LruMap<string, number>(100)
        loadEntries(map, JSON.parse(formatEntries(mapOf(list), 10_000)))
        expect([...map]).toEqual(list)
      }),
    )
  })
})

describe("deleteWhere", () => {
  it("deletes the entries whose key passes the test", () => {
    const map = mapOf([
      ["a", 1],
      ["ab", 2],
      ["b", 3],
    ])
    deleteWhere(map, (key) => key.startsWith("a"))
    expect([...map]).toEqual([["b", 3]])
  })
})
