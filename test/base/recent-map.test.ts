import { describe, expect, it } from "vitest"
import { RecentMap } from "../../src/base/recent-map.js"

describe("RecentMap", () => {
  it("keeps at least `count` entries and at most twice as many, and yields the newest first", () => {
    const map = new RecentMap<number>(10)
    for (let n = 0; n < 95; n++) map.set(`k${n}`, n)
    const kept = [...map.newestFirst()].map(([, n]) => n)
    expect(kept).toEqual(Array.from({ length: 15 }, (_, i) => 94 - i))
    expect([map.get("k94"), map.get("k80"), map.get("k79")]).toEqual([94, 80, undefined])
  })

  it("replaces the value of a key", () => {
    const map = new RecentMap<number>(10)
    map.set("a", 1)
    map.set("a", 2)
    expect(map.get("a")).toBe(2)
  })
})
