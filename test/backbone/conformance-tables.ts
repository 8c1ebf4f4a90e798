import { expect, test } from "vitest"
import type { RowChange, Table } from "../../src/backbone/backbone.js"
import type { Queue } from "../../src/backbone/queue/queue.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { patienceMs, type Start } from "./conformance-kit.js"
import { claimOldest, openQueue } from "./queue-kit.js"

export function describeTables(start: Start): void {
  test("a row is written only at the expected revision", async () => {
    const { backbone } = await start()
    const table = await backbone.table("rows")
    expect(await table.get("a")).toBeUndefined()
    expect(await table.put("a", "1", 7)).toBeUndefined()
    const first = await table.put("a", "1", 0)
    expect(first).toBeGreaterThan(0)
    expect(await table.put("a", "2", 0)).toBeUndefined()
    const second = await table.put("a", "2", first)
    expect(second).toBeGreaterThan(first ?? 0)
    expect(await table.put("a", "3", first)).toBeUndefined()
    const third = await table.put("a", "3")
    expect(await table.get("a")).toEqual({ key: "a", value: "3", revision: third })
    expect(await table.delete("a", second)).toBe(false)
    expect(await table.get("a")).toEqual({ key: "a", value: "3", revision: third })
    expect(await table.delete("a", third)).toBe(true)
    expect(await table.get("a")).toBeUndefined()
    expect(await table.delete("a", third)).toBe(false)
    const again = await table.put("a", "4", 0)
    expect(again).toBeGreaterThan(third ?? 0)
    expect(await table.delete("a")).toBe(true)
    expect(await table.rows()).toEqual([])
    await table.put("b", "1")
    await table.put("c", "1")
    expect((await table.rows()).map(({ key }) => key).sort()).toEqual(["b", "c"])
    expect(await (await backbone.table("others")).rows()).toEqual([])
  })

  test("one of many writers that expect the same revision succeeds", async () => {
    const { backbone } = await start()
    const table = await backbone.table("race")
    const revisions = await Promise.all(Array.from({ length: 20 }, (_, i) => table.put("a", `${i}`, 0)))
    const revision = revisions.find((won) => won !== undefined)
    expect(revisions.filter((won) => won !== undefined)).toHaveLength(1)
    const changes = Array.from({ length: 20 }, (_, i) =>
      i % 2 === 0 ? table.put("a", `${i}`, revision) : table.delete("a", revision),
    )
    const changed = await Promise.all(changes)
    expect(changed.filter((won) => won !== undefined && won !== false)).toHaveLength(1)
  })

  test("no increment is lost when many count with compare-and-set", async () => {
    const { backbone } = await start()
    const table = await backbone.table("count")
    await table.put("sum", "0")
    const countOne = async (): Promise<void> => {
      for (;;) {
        const row = await table.get("sum")
        const sum = String(Number(row?.value) + 1)
        if ((await table.put("sum", sum, row?.revision ?? 0)) !== undefined) return
      }
    }
    await Promise.all(Array.from({ length: 12 }, countOne))
    expect((await table.get("sum"))?.value).toBe("12")
  })

  test("a watch reports every row, then every change", async () => {
    const { backbone } = await start()
    const table = await backbone.table("watched")
    const a = await table.put("a", "1")
    await table.put("gone", "1")
    await table.delete("gone")
    const changes: RowChange[] = []
    const end = await table.watch((change) => void changes.push(change))
    expect(changes.filter(({ value }) => value !== undefined)).toEqual([
      { key: "a", value: "1", revision: a },
    ])
    await table.put("a", "2")
    await table.put("b", "1")
    await until("the change is reported", () => changes.some(({ key }) => key === "b"), patienceMs)
    await table.delete("b")
    await until(
      "the change is reported",
      () => changes.some(({ key, value }) => key === "b" && value === undefined),
      patienceMs,
    )
    const deletion = changes.findLast(({ key }) => key === "b")
    const before = changes.find(({ key }) => key === "b")
    expect(deletion?.revision).toBeGreaterThan(before?.revision ?? Infinity)
    expect(changes.findLast(({ key }) => key === "a")?.value).toBe("2")
    end()
    await expectSameAsWatched(table)
    expect(changes.findLast(({ key }) => key === "a")?.value).toBe("2")
  })

  test("a watch reports the changes of each row in order while many change", async () => {
    const { backbone } = await start()
    const table = await backbone.table("busy")
    await expectSameAsWatched(table)
  })
}

/** Changes many rows, and checks that a watch reports each row in order and ends up with the content of the table. */
async function expectSameAsWatched(table: Table): Promise<void> {
  const known = new Map<string, string>()
  const revisions = new Map<string, number>()
  const end = await table.watch(({ key, value, revision }) => {
    expect(revision).toBeGreaterThanOrEqual(revisions.get(key) ?? 0)
    revisions.set(key, revision)
    if (value === undefined) known.delete(key)
    else known.set(key, value)
  })
  const changes = Array.from({ length: 60 }, (_, i) =>
    i % 7 === 6 ? table.delete(`row${i % 5}`) : table.put(`row${i % 5}`, `${i}`),
  )
  await Promise.all(changes)
  await table.put("mark", "end")
  const rows = new Map((await table.rows()).map(({ key, value }) => [key, value]))
  const isSame = (): boolean => JSON.stringify([...known].sort()) === JSON.stringify([...rows].sort())
  await until("the watch is up to date", isSame, patienceMs)
  end()
}

export function describeQueues(start: Start): void {
  test("a task goes to one worker at a time and ends once", async () => {
    const { backbone } = await start()
    const clock = new FakeClock()
    const table = await backbone.table("task")
    const available: string[] = []
    const released: string[] = []
    const queue = await openQueue(table, clock, {
      onAvailable: ({ topic }) => void available.push(topic),
      onReleased: ({ id }, worker) => void released.push(`${id} ${worker}`),
    })
    const other = await openQueue(table, clock)
    const id = "0123456789abcdef.cli-abc~1:x"
    expect(await queue.push("coder", id, "work")).toEqual({ isDuplicate: false })
    expect(await queue.push("coder", id, "work")).toEqual({ isDuplicate: true })
    await until("the task waits", () => other.waiting("coder").length === 1, patienceMs)
    expect(available).toContain("coder")
    const claims = await Promise.all([claimOldest(queue, "coder", "a"), claimOldest(other, "coder", "b")])
    expect(claims.filter((task) => task !== undefined)).toHaveLength(1)
    const worker = claims[0] === undefined ? "b" : "a"
    const stranger = worker === "a" ? "b" : "a"
    // A claim that ended before a queue saw it is not reported there.
    await until("both queues know the worker", () => isHeldIn([queue, other], id, worker), patienceMs)
    expect(await queue.extend(id, stranger)).toBe(false)
    expect(await queue.done(id, stranger)).toBeUndefined()
    expect(await other.extend(id, worker)).toBe(true)
    expect((await other.giveBack(id, worker))?.worker).toBe(worker)
    await until("the task waits again", () => queue.waiting("coder").length === 1, patienceMs)
    expect((await queue.claim("coder", "c", id))?.attempt).toBe(2)
    clock.advance(60_000)
    await until("the task waits again", () => queue.waiting("coder").length === 1, patienceMs)
    await until("the task waits again", () => other.waiting("coder").length === 1, patienceMs)
    expect((await claimOldest(other, "coder", "d"))?.attempt).toBe(3)
    await until("both queues know the worker", () => isHeldIn([queue, other], id, "d"), patienceMs)
    expect((await other.done(id, "d"))?.value).toBe("work")
    expect(await queue.claim("coder", "e", id)).toBeUndefined()
    expect(await queue.push("coder", id, "work")).toEqual({ isDuplicate: true })
    await until("it is gone", () => queue.find(id) === undefined, patienceMs)
    expect(released).toEqual([`${id} ${worker}`, `${id} c`, `${id} d`])
    queue.close()
    other.close()
  })
}

function isHeldIn(queues: readonly Queue[], id: string, worker: string): boolean {
  return queues.every((queue) => queue.find(id)?.worker === worker)
}
