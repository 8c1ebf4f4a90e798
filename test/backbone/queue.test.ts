import { describe, expect, test } from "vitest"
import type { RowChange, Table } from "../../src/backbone/backbone.js"
import { Queue } from "../../src/backbone/queue.js"
import { ChatError } from "../../src/protocol/errors.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { deaf, leaseMs, openTable, settle } from "./queue-kit.js"

/** The table as a relay sees it that hears, when told to, of no more than what stands then. */
function lateTable(table: Table): { table: Table; tell: () => void } {
  const unheard = new Map<string, RowChange>()
  let listener: (change: RowChange) => void = () => {}
  const watch: Table["watch"] = (listen) => {
    listener = listen
    return table.watch((change) => void unheard.set(change.key, change))
  }
  const tell = (): void => {
    for (const change of unheard.values()) listener(change)
    unheard.clear()
  }
  const get: Table["get"] = (key) => table.get(key)
  const put: Table["put"] = (key, value, expected) => table.put(key, value, expected)
  const remove: Table["delete"] = (key, expected) => table.delete(key, expected)
  return { table: { get, put, delete: remove, rows: () => table.rows(), watch }, tell }
}

describe("a queue", () => {
  test("hands out by the time of the push, whoever pushed and whatever came back", async () => {
    const clock = new FakeClock()
    const queue = await Queue.open(await openTable(clock), { clock, leaseMs }, deaf)
    for (const id of ["c", "a", "b"]) {
      await queue.push("coder", id, "x")
      clock.advance(1)
    }
    await queue.push("coder", "z", "x")
    await queue.push("coder", "y", "x")
    expect(queue.waiting("coder").map(({ id }) => id)).toEqual(["c", "a", "b", "y", "z"])
    await queue.claim("coder", "w")
    await queue.claim("coder", "w")
    await queue.giveBack("c", "w")
    expect(queue.waiting("coder").map(({ id }) => id)).toEqual(["c", "b", "y", "z"])
    expect(queue.claimed("coder").map(({ id, attempt }) => [id, attempt])).toEqual([["a", 1]])
    expect(await queue.claim("writer", "w")).toBeUndefined()
    expect(await queue.claim("writer", "w", "b")).toBeUndefined()
    expect((await queue.claim("coder", "w", "z"))?.id).toBe("z")
  })

  test("remembers the end of a task for an hour, and then forgets it", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const queue = await Queue.open(table, { clock, leaseMs }, deaf)
    await queue.push("coder", "a", "x")
    await queue.claim("coder", "w")
    await queue.done("a", "w")
    clock.advance(3_500_000)
    await settle()
    expect(await queue.push("coder", "a", "x")).toBe(false)
    clock.advance(1_000_000)
    await settle()
    expect(await table.rows()).toEqual([])
    expect(clock.pending.filter((ms) => ms <= leaseMs)).toEqual([])
    expect(await queue.push("coder", "a", "x")).toBe(true)
  })

  test("lets a lease that ended while no relay ran end when one opens", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const before = await Queue.open(table, { clock, leaseMs }, deaf)
    for (const id of ["a", "b"]) await before.push("coder", id, "x")
    await before.claim("coder", "w")
    clock.advance(leaseMs / 2)
    await before.claim("coder", "w")
    before.close()
    clock.advance(leaseMs / 2)
    const available: string[] = []
    const onAvailable = (topic: string): void => void available.push(topic)
    const after = await Queue.open(table, { clock, leaseMs }, { onAvailable })
    expect(available).toEqual([])
    clock.advance(0)
    await settle()
    expect(after.waiting("coder").map(({ id }) => id)).toEqual(["a"])
    expect(available).toEqual(["coder"])
    clock.advance(leaseMs / 2)
    await settle()
    expect(after.waiting("coder").map(({ id }) => id)).toEqual(["a", "b"])
  })

  test("ignores rows that are no tasks", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    for (const [i, value] of ["", "null", "7", "{}", '{"id":"a","topic":1}', '["a"]'].entries()) {
      await table.put(`row${i}`, value)
    }
    const queue = await Queue.open(table, { clock, leaseMs }, deaf)
    expect(await queue.claim("coder", "w")).toBeUndefined()
    expect(queue.find("a")).toBeUndefined()
  })

  test("lets a lease end later when the table was away, and tells who was passed over", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    let isAway = false
    const flaky: Table = {
      get: (key) => table.get(key),
      rows: () => table.rows(),
      delete: (key, expected) => table.delete(key, expected),
      watch: (listener) => table.watch(listener),
      put: async (key, value, expected) => {
        if (isAway) throw new ChatError("UNAVAILABLE", "away")
        return await table.put(key, value, expected)
      },
    }
    const available: string[] = []
    const onAvailable = (topic: string): void => void available.push(topic)
    const queue = await Queue.open(flaky, { clock, leaseMs }, { onAvailable })
    await queue.push("coder", "a", "x")
    isAway = true
    const [first, second] = [queue.claim("coder", "v"), queue.claim("coder", "w")]
    await expect(first).rejects.toMatchObject({ code: "UNAVAILABLE" })
    expect(await second).toBeUndefined()
    expect(available).toEqual(["coder", "coder"])
    isAway = false
    await queue.claim("coder", "v")
    isAway = true
    clock.advance(leaseMs)
    await settle()
    expect(queue.waiting("coder")).toEqual([])
    isAway = false
    await until("the lease ends", async () => {
      clock.advance(1_000)
      await settle()
      return queue.waiting("coder").length === 1
    })
  })

  test("knows what stands after changes that were told as one, and who had its own claims", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const { table: late, tell } = lateTable(table)
    const released: string[] = []
    const onReleased = ({ id }: { id: string }, worker: string): void => void released.push(`${id} ${worker}`)
    const queue = await Queue.open(late, { clock, leaseMs }, { onAvailable: () => {}, onReleased })
    const other = await Queue.open(table, { clock, leaseMs }, deaf)
    await other.push("coder", "a", "x")
    tell()
    await other.claim("coder", "v")
    await other.giveBack("a", "v")
    tell()
    expect(queue.find("a")).toMatchObject({ attempt: 1 })
    expect(released).toEqual([])
    expect(await queue.claim("coder", "w")).toMatchObject({ id: "a", attempt: 2 })
    await other.giveBack("a", "w")
    await other.claim("coder", "u")
    await other.done("a", "u")
    tell()
    expect(queue.find("a")).toBeUndefined()
    expect(queue.endedBy("a")).toBe("u")
    expect(released).toEqual(["a w"])
  })

  test("ends for a worker what another relay gave it a moment ago", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const { table: late, tell } = lateTable(table)
    const queue = await Queue.open(late, { clock, leaseMs }, deaf)
    const other = await Queue.open(table, { clock, leaseMs }, deaf)
    await other.push("coder", "a", "x")
    tell()
    await other.claim("coder", "w")
    expect(queue.find("a")).toMatchObject({ attempt: 0 })
    expect((await queue.done("a", "w"))?.id).toBe("a")
  })
})
