import { expect, test } from "vitest"
import type { LogEntry } from "../../src/backbone/backbone.js"
import { plenty, type Start } from "./conformance-kit.js"

const legalKeys = [
  "a",
  "A",
  "0",
  "-",
  "_",
  "A.b-C_9.d",
  "a".repeat(64),
  "__proto__",
  "constructor",
  "toString",
]
const hostileKeys = [
  "",
  ".",
  "a.",
  ".a",
  "a..b",
  "a b",
  "a/b",
  "../a",
  "*",
  ">",
  "a.>",
  "$a",
  "é",
  "a\n",
  "a\0",
]
const hostileTexts = [
  "",
  "'; drop table entry; --",
  '"\\',
  "\0",
  "a\0b",
  "\u2028\u{1F600}é漢\u202E",
  "{}",
  "\r\n",
]

export function describeLogs(start: Start): void {
  test("an engine has an id and can be reached", async () => {
    const { backbone } = await start()
    expect(backbone.id).toMatch(/^srv_[A-Za-z0-9_-]{8,}$/)
    expect(backbone.isReachable).toBe(true)
    backbone.onReachabilityChange(() => {})
  })

  test("appends to a key take effect in the order of the calls", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("order", plenty)
    const ids = Array.from({ length: 60 }, (_, i) => `id-${i}`)
    const appended = await Promise.all(ids.map((id, i) => logs.append(`key${i % 3}`, id, id)))
    for (const k of [0, 1, 2]) {
      const expected = ids.filter((_, i) => i % 3 === k)
      const entries = await logs.read(`key${k}`, 0, 100)
      expect(entries.map(({ value }) => value)).toEqual(expected)
      expect(entries.map(({ seq }) => seq)).toEqual(
        appended.filter((_, i) => i % 3 === k).map(({ seq }) => seq),
      )
      expect(entries.map(({ seq }) => seq)).toEqual([...entries.map(({ seq }) => seq)].sort((a, b) => a - b))
      expect(entries.every(({ key, ts }) => key === `key${k}` && ts > 0)).toBe(true)
    }
  })

  test("an entry of the same id and key is added once", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("twice", plenty)
    const first = await logs.append("a", "id", "one")
    expect(first.isDuplicate).toBe(false)
    const second = await logs.append("a", "id", "one")
    expect(second.isDuplicate).toBe(true)
    expect([0, first.seq]).toContain(second.seq)
    const both = await Promise.all([logs.append("a", "id2", "two"), logs.append("a", "id2", "two")])
    expect(both.map(({ isDuplicate }) => isDuplicate)).toEqual([false, true])
    expect((await logs.append("b", "id", "other")).isDuplicate).toBe(false)
    expect((await logs.read("a", 0, 10)).map(({ value }) => value)).toEqual(["one", "two"])
    await logs.drop("a")
    expect((await logs.append("a", "id", "one")).isDuplicate).toBe(true)
    expect(await logs.read("a", 0, 10)).toEqual([])
  })

  test("an entry is known by its id and key, also after it was removed", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("known", plenty)
    const others = await backbone.logs("known-others", plenty)
    expect(await logs.has("a", "id")).toBe(false)
    const longId = "é".repeat(300)
    for (const id of ["id", longId]) await logs.append("a", id, "one")
    const both = (key: string) => Promise.all(["id", longId].map((id) => logs.has(key, id)))
    expect(await both("a")).toEqual([true, true])
    await logs.drop("a")
    expect(await both("a")).toEqual([true, true])
    expect(await both("b")).toEqual([false, false])
    expect(await others.has("a", "id")).toBe(false)
    // A question adds nothing.
    await logs.append("c", "id", "one")
    expect(await logs.has("c", "other")).toBe(false)
    expect((await logs.append("c", "other", "two")).isDuplicate).toBe(false)
    expect((await logs.read("c", 0, 10)).map(({ value }) => value)).toEqual(["one", "two"])
  })

  test("a duplicate has the digest of the first entry", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("digests", plenty)
    const largest = 2 ** 52 - 1
    expect(await logs.append("a", "id", "one", largest)).not.toHaveProperty("digest")
    expect(await logs.append("a", "id", "two", 7)).toMatchObject({ isDuplicate: true, digest: largest })
    await logs.append("a", "none", "three")
    expect(await logs.append("a", "none", "three", 7)).not.toHaveProperty("digest")
    await logs.trim("a", (await logs.stat("a")).last)
    const { isDuplicate, digest } = await logs.append("a", "id", "two", 7)
    expect([isDuplicate, digest]).toEqual([true, largest])
  })

  test("an id with a digest is unique among all keys, also after its entry was removed", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("unique", plenty)
    const others = await backbone.logs("unique-others", plenty)
    await logs.append("a", "unique-id", "one", 1)
    expect(await logs.append("b", "unique-id", "two", 2)).toMatchObject({ isDuplicate: true, digest: 1 })
    await logs.trim("a", (await logs.stat("a")).last)
    expect(await logs.append("b", "unique-id", "two", 2)).toMatchObject({ isDuplicate: true, digest: 1 })
    expect(await logs.read("b", 0, 10)).toEqual([])
    // NATS recognizes ids per stream.
    const other = await others.append("a", "unique-id", "three", 3)
    expect(other.isDuplicate).toBe(backbone.kind !== "nats")
    expect((await logs.append("b", "plain", "one")).isDuplicate).toBe(false)
    expect((await logs.append("a", "plain", "one")).isDuplicate).toBe(false)
  })

  test("read returns pages after a number, and last returns the newest entries", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("pages", plenty)
    for (let i = 1; i <= 10; i++) await logs.append("a", `id-${i}`, `${i}`)
    await logs.append("b", "id", "other")
    const values = (entries: LogEntry[]): string => entries.map(({ value }) => value).join(" ")
    let after = 0
    const pages: string[] = []
    for (;;) {
      const page = await logs.read("a", after, 4)
      const newest = page.at(-1)
      if (newest === undefined) break
      pages.push(values(page))
      after = newest.seq
    }
    expect(pages).toEqual(["1 2 3 4", "5 6 7 8", "9 10"])
    expect(values(await logs.last("a", 3))).toBe("8 9 10")
    expect(values(await logs.last("a", 100))).toBe("1 2 3 4 5 6 7 8 9 10")
    expect(await logs.last("a", 0)).toEqual([])
    expect(await logs.read("a", 0, 0)).toEqual([])
    expect(await logs.read("unused", 0, 10)).toEqual([])
    expect(await logs.last("unused", 10)).toEqual([])
  })

  test("numbers are never used again, after trim and after drop", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("numbers", plenty)
    expect(await logs.stat("a")).toEqual({ last: 0, count: 0 })
    const seqs: number[] = []
    for (let i = 0; i < 5; i++) seqs.push((await logs.append("a", `id-${i}`, `${i}`)).seq)
    const newest = seqs[4] ?? 0
    expect(await logs.stat("a")).toEqual({ last: newest, count: 5 })
    await logs.trim("a", seqs[2] ?? 0)
    expect(await logs.stat("a")).toEqual({ last: newest, count: 2 })
    expect((await logs.read("a", 0, 10)).map(({ seq }) => seq)).toEqual(seqs.slice(3))
    await logs.trim("a", seqs[0] ?? 0)
    expect((await logs.stat("a")).count).toBe(2)
    await logs.trim("a", newest)
    expect(await logs.stat("a")).toEqual({ last: newest, count: 0 })
    const next = (await logs.append("a", "next", "next")).seq
    expect(next).toBeGreaterThan(newest)
    await logs.drop("a")
    expect(await logs.stat("a")).toEqual({ last: next, count: 0 })
    expect((await logs.append("a", "after", "after")).seq).toBeGreaterThan(next)
    await logs.drop("unused")
    await logs.trim("unused", 5)
  })

  test("size is the bytes of all keys that are still there", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("sized", plenty)
    const before = await logs.size()
    const { seq } = await logs.append("a", "1", "x".repeat(10_000))
    await logs.append("b", "2", "é".repeat(10_000))
    const full = await logs.size()
    // NATS counts headers too.
    expect(full - before).toBeGreaterThanOrEqual(30_000)
    expect(full - before).toBeLessThan(31_000)
    await logs.trim("a", seq)
    expect(full - (await logs.size())).toBeGreaterThanOrEqual(10_000)
  })

  test("families of logs are separate", async () => {
    const { backbone } = await start()
    const left = await backbone.logs("left", plenty)
    const right = await backbone.logs("right", plenty)
    await left.append("a", "id", "left")
    expect((await right.append("a", "id", "right")).isDuplicate).toBe(false)
    await right.drop("a")
    expect((await left.read("a", 0, 10)).map(({ value }) => value)).toEqual(["left"])
  })

  test("every valid key is a key of its own, and all others are refused", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("keys", plenty)
    const table = await backbone.table("keys")
    for (const key of legalKeys) {
      await logs.append(key, "id", key)
      await table.put(key, key)
    }
    for (const key of legalKeys) {
      expect((await logs.read(key, 0, 10)).map(({ value }) => value)).toEqual([key])
      expect((await table.get(key))?.value).toBe(key)
    }
    const refused = { code: "INVALID_NAME" }
    for (const key of [...hostileKeys, "a".repeat(65)]) {
      await expect(logs.append(key, "id", "x")).rejects.toMatchObject(refused)
      await expect(logs.read(key, 0, 1)).rejects.toMatchObject(refused)
      await expect(logs.last(key, 1)).rejects.toMatchObject(refused)
      await expect(logs.stat(key)).rejects.toMatchObject(refused)
      await expect(logs.trim(key, 1)).rejects.toMatchObject(refused)
      await expect(logs.drop(key)).rejects.toMatchObject(refused)
      await expect(table.get(key)).rejects.toMatchObject(refused)
      await expect(table.put(key, "x")).rejects.toMatchObject(refused)
      await expect(table.delete(key)).rejects.toMatchObject(refused)
      await expect(backbone.logs(key, plenty)).rejects.toMatchObject(refused)
      await expect(backbone.table(key)).rejects.toMatchObject(refused)
    }
  })

  test("values and ids of any size and content come back unchanged", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("values", { ...plenty, maxEntries: 100 })
    const table = await backbone.table("values")
    const values = [...hostileTexts, "x".repeat(256 * 1024), "é".repeat(128 * 1024)]
    for (const [i, value] of values.entries()) {
      await logs.append("a", `0123456789abcdef.cli-${i}~1:${value.slice(0, 40)}`, value)
      await table.put(`row${i}`, value)
      expect((await table.get(`row${i}`))?.value).toBe(value)
    }
    const read = await logs.read("a", 0, 100)
    expect(read.map(({ value }) => value)).toEqual(values)
    for (const [i, value] of values.entries()) {
      const id = `0123456789abcdef.cli-${i}~1:${value.slice(0, 40)}`
      expect((await logs.append("a", id, value)).isDuplicate).toBe(true)
    }
  })
}
