import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LruMap } from "../../src/base/lru-map.js"
import { deleteWhere, formatEntries, readEntries } from "../../src/guards/saved.js"

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

describe("readEntries", () => {
  it("restores what formatEntries wrote, without values that are refused", () => {
    const map = new LruMap<string, number>(100)
    const saved: unknown = JSON.parse(
      formatEntries(
        mapOf([
          ["a", 1],
          ["b", 2],
          ["c", 3],
        ]),
        1_000,
      ),
    )
    readEntries(map, saved, (value) => (value === 2 ? undefined : Number(value)))
    expect([...map]).toEqual([
      ["a", 1],
      ["c", 3],
    ])
  })

  it("ignores anything else", () => {
    const map = new LruMap<string, number>(100)
    for (const junk of [undefined, null, {}, 7, [1], [[1, 2]], ["a"]]) readEntries(map, junk, () => 1)
    expect(map.size).toBe(0)
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
