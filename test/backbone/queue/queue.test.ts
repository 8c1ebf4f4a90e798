import { describe, expect, test } from "vitest"
import type { Table } from "../../../src/backbone/backbone.js"
import { ChatError } from "../../../src/protocol/errors.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { lateTable } from "../../kit/late-table.js"
import { claimOldest, leaseMs, openQueue, openTable, settle } from "../queue-kit.js"

describe("a queue", () => {
  test("a queue has the digest of a task, also after its end", async () => {
    const clock = new FakeClock()
    const queue = await openQueue(await openTable(clock), clock)
    await queue.push("coder", "a", "x", 7)
    const repeated = { isDuplicate: true, digest: 7 }
    expect(await queue.push("coder", "a", "y", 8)).toEqual(repeated)
    await queue.claim("coder", "@w", "a")
    await queue.done("a", "@w")
    expect(await queue.push("coder", "a", "y", 8)).toEqual(repeated)
  })

  test("a queue hands out tasks by the time of their push, even those that were given back", async () => {
    const clock = new FakeClock()
    const queue = await openQueue(await openTable(clock), clock)
    for (const id of ["c", "a", "b"]) {
      await queue.push("coder", id, "x")
      clock.advance(1)
    }
    await queue.push("coder", "z", "x")
    await queue.push("coder", "y", "x")
    expect(queue.waiting("coder").map(({ id }) => id)).toEqual(["c", "a", "b", "y", "z"])
    await claimOldest(queue, "coder", "w")
    await claimOldest(queue, "coder", "w")
    await queue.giveBack("c", "w")
    expect(queue.waiting("coder").map(({ id }) => id)).toEqual(["c", "b", "y", "z"])
    expect(queue.claimed("coder").map(({ id, attempt }) => [id, attempt])).toEqual([["a", 1]])
    expect(await claimOldest(queue, "writer", "w")).toBeUndefined()
    expect(await queue.claim("writer", "w", "b")).toBeUndefined()
    expect((await queue.claim("coder", "w", "z"))?.id).toBe("z")
  })

  test("the end of a task is remembered for an hour", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const queue = await openQueue(table, clock)
    await queue.push("coder", "a", "x")
    await claimOldest(queue, "coder", "w")
    await queue.done("a", "w")
    clock.advance(3_500_000)
    await settle()
    expect(await queue.push("coder", "a", "x")).toEqual({ isDuplicate: true })
    clock.advance(1_000_000)
    await settle()
    expect(await table.rows()).toEqual([])
    expect(clock.pending.filter((ms) => ms <= leaseMs)).toEqual([])
    expect(await queue.push("coder", "a", "x")).toEqual({ isDuplicate: false })
  })

  test("a queue that opens ends leases that ran out while no relay was running", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const before = await openQueue(table, clock)
    for (const id of ["a", "b"]) await before.push("coder", id, "x")
    await claimOldest(before, "coder", "w")
    clock.advance(leaseMs / 2)
    await claimOldest(before, "coder", "w")
    before.close()
    clock.advance(leaseMs / 2)
    const available: string[] = []
    const onAvailable = ({ topic }: { topic: string }): void => void available.push(topic)
    const after = await openQueue(table, clock, { onAvailable })
    expect(available).toEqual([])
    clock.advance(0)
    await settle()
    expect(after.waiting("coder").map(({ id }) => id)).toEqual(["a"])
    expect(available).toEqual(["coder"])
    clock.advance(leaseMs / 2)
    await settle()
    expect(after.waiting("coder").map(({ id }) => id)).toEqual(["a", "b"])
  })

  test("rows that are not tasks are ignored", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    for (const [i, value] of ["", "null", "7", "{}", '{"id":"a","topic":1}', '["a"]'].entries()) {
      await table.put(`row${i}`, value)
    }
    const queue = await openQueue(table, clock)
    expect(await claimOldest(queue, "coder", "w")).toBeUndefined()
    expect(queue.find("a")).toBeUndefined()
  })

  test("a lease ends later if the table cannot be reached", async () => {
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
    const queue = await openQueue(flaky, clock)
    await queue.push("coder", "a", "x")
    isAway = true
    await expect(queue.claim("coder", "v", "a")).rejects.toMatchObject({ code: "UNAVAILABLE" })
    isAway = false
    await claimOldest(queue, "coder", "v")
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

  test("a queue is up to date after changes reported as one, and reports the worker that lost its claim", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const view = lateTable(table)
    const released: string[] = []
    const onReleased = ({ id }: { id: string }, worker: string): void => void released.push(`${id} ${worker}`)
    const queue = await openQueue(view.table, clock, { onReleased })
    const other = await openQueue(table, clock)
    await other.push("coder", "a", "x")
    view.deliver()
    await claimOldest(other, "coder", "v")
    await other.giveBack("a", "v")
    view.deliver()
    expect(queue.find("a")).toMatchObject({ attempt: 1 })
    expect(released).toEqual([])
    expect(await claimOldest(queue, "coder", "w")).toMatchObject({ id: "a", attempt: 2 })
    await other.giveBack("a", "w")
    await claimOldest(other, "coder", "u")
    await other.done("a", "u")
    view.deliver()
    expect(queue.find("a")).toBeUndefined()
    expect(queue.endedBy("a")).toBe("u")
    expect(released).toEqual(["a w"])
  })

  test("done ends a task that another relay gave the worker a moment ago", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const view = lateTable(table)
    const queue = await openQueue(view.table, clock)
    const other = await openQueue(table, clock)
    await other.push("coder", "a", "x")
    view.deliver()
    await claimOldest(other, "coder", "w")
    expect(queue.find("a")).toMatchObject({ attempt: 0 })
    expect((await queue.done("a", "w"))?.id).toBe("a")
  })

  test("a worker can claim a task that another relay has just got back, but none that another worker has", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const view = lateTable(table)
    const queue = await openQueue(view.table, clock)
    const other = await openQueue(table, clock)
    for (const id of ["a", "b"]) {
      await other.push("coder", id, "x")
      await other.claim("coder", "v", id)
    }
    view.deliver()
    await other.giveBack("a", "v")
    expect(await queue.claim("coder", "w", "a")).toMatchObject({ worker: "w", attempt: 2 })
    expect(await queue.claim("coder", "w", "b")).toBeUndefined()
    expect(await queue.remove("b")).toBeUndefined()
    expect(queue.find("b")).toMatchObject({ worker: "v" })
  })

  test("a queue reports each claim of another queue once", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const claimed: string[] = []
    const onClaimed = ({ id }: { id: string }, worker: string): void => void claimed.push(`${id} ${worker}`)
    const queue = await openQueue(table, clock, { onClaimed })
    const other = await openQueue(table, clock)
    for (const id of ["a", "b"]) await queue.push("coder", id, "x")
    await queue.claim("coder", "v", "a")
    await queue.extend("a", "v")
    expect(claimed).toEqual([])
    await other.claim("coder", "w", "b")
    await other.extend("b", "w")
    await other.giveBack("b", "w")
    expect(claimed).toEqual(["b w"])
    await other.claim("coder", "w", "b")
    expect(claimed).toEqual(["b w", "b w"])
  })

  test("a queue reports its own claim whose result was unknown", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const view = lateTable(table)
    const silent: Table = {
      ...view.table,
      put: async (key, value, expected) => {
        await table.put(key, value, expected)
        throw new ChatError("UNAVAILABLE", "no answer in time")
      },
    }
    const claimed: string[] = []
    const onClaimed = ({ id }: { id: string }, worker: string): void => void claimed.push(`${id} ${worker}`)
    const queue = await openQueue(silent, clock, { onClaimed })
    const other = await openQueue(table, clock)
    await other.push("coder", "a", "x")
    view.deliver()
    await expect(queue.claim("coder", "w", "a")).rejects.toMatchObject({ code: "UNAVAILABLE" })
    view.deliver()
    expect(claimed).toEqual(["a w"])
  })

  test("a queue reads tasks from the table that were not reported to it yet", async () => {
    const clock = new FakeClock()
    const table = await openTable(clock)
    const queue = await openQueue(lateTable(table).table, clock)
    const other = await openQueue(table, clock)
    for (const id of ["waiting", "ended"]) await other.push("coder", id, "x")
    await other.remove("ended")
    expect(queue.find("waiting")).toBeUndefined()
    expect((await queue.fetch("waiting"))?.id).toBe("waiting")
    expect(await queue.fetch("ended")).toBeUndefined()
    expect(await queue.knows("ended")).toBe(true)
    expect(await queue.knows("never")).toBe(false)
  })
})
