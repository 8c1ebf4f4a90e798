import { expect, test } from "vitest"
import type { LogEntry } from "../../src/backbone/backbone.js"
import { until } from "../kit/condition.js"
import { patienceMs, plenty, type Start } from "./conformance-kit.js"

export function describeRetention(start: Start): void {
  test("drop-oldest makes room", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("ring", { maxEntries: 3, whenFull: "drop-oldest" })
    const seqs: number[] = []
    for (let i = 1; i <= 5; i++) seqs.push((await logs.append("a", `id-${i}`, `${i}`)).seq)
    expect((await logs.read("a", 0, 10)).map(({ value }) => value)).toEqual(["3", "4", "5"])
    expect(await logs.stat("a")).toEqual({ last: seqs[4], count: 3 })
  })

  test("refuse-new refuses entries while the log is full, and keeps the existing ones", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("box", { maxEntries: 2, whenFull: "refuse-new" })
    const first = await logs.append("a", "id-1", "1")
    await logs.append("a", "id-2", "2")
    await expect(logs.append("a", "id-3", "3")).rejects.toMatchObject({ code: "MAILBOX_FULL" })
    expect((await logs.append("a", "id-1", "1")).isDuplicate).toBe(true)
    expect((await logs.append("b", "id-3", "3")).isDuplicate).toBe(false)
    await logs.trim("a", first.seq)
    expect((await logs.append("a", "id-3", "3")).isDuplicate).toBe(false)
    expect((await logs.read("a", 0, 10)).map(({ value }) => value)).toEqual(["2", "3"])
  })

  test("many concurrent appends never exceed the bound", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("rush", { maxEntries: 7, whenFull: "refuse-new" })
    const ids = Array.from({ length: 30 }, (_, i) => `id-${i}`)
    const settled = await Promise.allSettled(ids.map((id) => logs.append("a", id, id)))
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(7)
    expect(await logs.read("a", 0, 100)).toHaveLength(7)
  })

  test("the bound in bytes is enforced", async () => {
    const { backbone } = await start()
    if (backbone.kind === "nats") return
    const bounds = { maxEntries: 100, maxBytes: 10 } as const
    const ring = await backbone.logs("ring-bytes", { ...bounds, whenFull: "drop-oldest" })
    for (const [i, value] of ["aaaa", "éé", "cccc"].entries()) await ring.append("a", `id-${i}`, value)
    expect((await ring.read("a", 0, 10)).map(({ value }) => value)).toEqual(["éé", "cccc"])
    await ring.append("a", "huge", "x".repeat(11))
    expect(await ring.read("a", 0, 10)).toEqual([])
    const box = await backbone.logs("box-bytes", { ...bounds, whenFull: "refuse-new" })
    await box.append("a", "id-1", "éééé")
    await expect(box.append("a", "id-2", "ccc")).rejects.toMatchObject({ code: "MAILBOX_FULL" })
    await box.append("a", "id-2", "cc")
    expect((await box.read("a", 0, 10)).map(({ value }) => value)).toEqual(["éééé", "cc"])
  })

  test("entries expire", async () => {
    const opened = await start()
    const logs = await opened.backbone.logs("old", { ...plenty, maxAgeMs: 2_000 })
    const { seq } = await logs.append("a", "id-1", "1")
    opened.pass?.(1_999)
    if (opened.pass !== undefined) expect(await logs.read("a", 0, 10)).toHaveLength(1)
    opened.pass?.(1)
    await until("it is gone", async () => (await logs.read("a", 0, 10)).length === 0, patienceMs)
    expect(await logs.stat("a")).toEqual({ last: seq, count: 0 })
    expect((await logs.append("a", "id-2", "2")).seq).toBeGreaterThan(seq)
  })
}

export function describeSubscriptions(start: Start): void {
  test("every subscriber receives every entry once, in order per key", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("subscribed", plenty)
    await logs.append("a", "before", "before")
    const received: LogEntry[][] = [[], []]
    for (const list of received) await logs.subscribe((entry) => void list.push(entry))
    const ids = Array.from({ length: 100 }, (_, i) => `id-${i}`)
    await Promise.all(ids.flatMap((id, i) => [1, 2].map(() => logs.append(`key${i % 4}`, id, id))))
    await logs.append("end", "end", "end")
    for (const list of received) {
      await until("all have arrived", () => list.some(({ key }) => key === "end"), patienceMs)
      await until("all have arrived", () => list.length >= 101, patienceMs)
      expect(list).toHaveLength(101)
      for (const k of [0, 1, 2, 3]) {
        const ofKey = list.filter(({ key }) => key === `key${k}`)
        expect(ofKey).toEqual(await logs.read(`key${k}`, 0, 100))
        expect(ofKey.map(({ value }) => value)).toEqual(ids.filter((_, i) => i % 4 === k))
      }
    }
  })

  test("a subscriber receives nothing after its subscription ended", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("ended", plenty)
    const [first, second]: [string[], string[]] = [[], []]
    const end = await logs.subscribe(({ value }) => void first.push(value))
    await logs.subscribe(({ value }) => void second.push(value))
    await logs.append("a", "id-1", "1")
    await until("the change is reported", () => first.length === 1 && second.length === 1, patienceMs)
    end()
    end()
    await logs.append("a", "id-2", "2")
    await until("the change is reported", () => second.length === 2, patienceMs)
    expect(first).toEqual(["1"])
  })

  test("a subscriber may append, and all subscribers receive the same order", async () => {
    const { backbone } = await start()
    const logs = await backbone.logs("echo", plenty)
    const received: string[][] = [[], []]
    await logs.subscribe(({ value }) => {
      received[0]?.push(value)
      if (value.length < 5) void logs.append("a", `${value}x`, `${value}x`)
    })
    await logs.subscribe(({ value }) => void received[1]?.push(value))
    await logs.append("a", "x", "x")
    await until("the change is reported", () => received.every(({ length }) => length === 5), patienceMs)
    expect(received[0]).toEqual(["x", "xx", "xxx", "xxxx", "xxxxx"])
    expect(received[1]).toEqual(received[0])
  })
}
