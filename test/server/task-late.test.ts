import { describe, expect, it } from "vitest"
import { type LateTable, lateTable } from "../kit/late-table.js"
import { TaskRelays, TestWorker } from "../kit/task-relays.js"

const [ann, bobsDigit, eve] = [new TestWorker(1), 2, new TestWorker(3, "reviewer")]

/** Two relays; the second sees the changes of the first one only on request. */
async function twoRelays(limits: NonNullable<Parameters<typeof TaskRelays.open>[0]>["limits"] = {}) {
  const views: LateTable[] = []
  const relays = await TaskRelays.open({
    count: 2,
    limits,
    table: (shared) => {
      const view = lateTable(shared)
      views.push(view)
      return views.length === 1 ? shared : view.table
    },
  })
  const [east, west] = relays.all
  if (east === undefined || west === undefined) throw new Error("two relays")
  return { relays, east, west, hear: () => views[1]?.deliver() }
}

/** Returns the same agent on a new connection. */
const bob = (role?: string) => new TestWorker(bobsDigit, role)

describe("a task service that sees the changes of another relay late", () => {
  it("gives a worker a task by id that it has not seen yet", async () => {
    const { relays, west } = await twoRelays()
    const id = await relays.ask(ann, "reviewer")
    expect(west.pending("reviewer").count).toBe(0)
    expect(await west.claim(bob().agent, id)).toMatchObject({ task: id, attempt: 1 })
  })

  it("gives a worker a task by id that another worker has given back", async () => {
    const { relays, east, west, hear } = await twoRelays()
    const id = await relays.ask(ann, "reviewer")
    await east.claim(eve.agent, id)
    hear()
    await east.fail(eve.agent, id, undefined)
    expect(west.pending("reviewer").claimed).toBe(1)
    expect(await west.claim(bob().agent, id)).toMatchObject({ task: id, attempt: 2 })
  })

  it("gives a worker a task by id that another relay gave it a moment ago", async () => {
    const { relays, east, west, hear } = await twoRelays()
    const id = await relays.ask(ann, "reviewer")
    hear()
    await east.claim(bob().agent, id)
    expect(await west.claim(bob().agent, id)).toMatchObject({ task: id, attempt: 1 })
  })

  it("accepts a DONE that another relay has accepted, and answers once", async () => {
    const { relays, east, west, hear } = await twoRelays()
    const [known, unknown] = [await relays.ask(ann, "reviewer"), await relays.ask(ann, "reviewer")]
    await east.claim(bob().agent, known)
    hear()
    await east.done(bob().agent, known, "fine")
    await east.claim(bob().agent, unknown)
    await east.done(bob().agent, unknown, "fine")
    for (const id of [known, unknown]) await west.done(bob().agent, id, "fine")
    expect(relays.answers.size).toBe(2)
  })

  it("sends a worker that reconnected here the task it was given on the other relay", async () => {
    const { relays, east, west, hear } = await twoRelays()
    const before = bob("reviewer")
    east.enter(before.agent)
    const id = await relays.ask(ann, "reviewer")
    const after = bob("reviewer")
    west.enter(after.agent)
    await relays.settle()
    expect(before.taskIds).toEqual([id])
    expect(after.taskIds).toEqual([])
    hear()
    await east.extend(after.agent, id)
    hear()
    expect(after.taskIds).toEqual([id])
  })

  it("gives up a task whose attempts it has not seen", async () => {
    const { relays, east, west, hear } = await twoRelays({ taskAttempts: 1 })
    const id = await relays.ask(ann, "reviewer")
    hear()
    await east.claim(eve.agent, id)
    await east.fail(eve.agent, id, "too hard")
    east.close()
    hear()
    await relays.settle()
    expect(relays.statesOf(id)).toEqual(["claimed", "failed"])
    expect(west.pending("reviewer").count).toBe(0)
  })

  it("gives nobody a task whose failure another relay may have reported", async () => {
    const { relays, east, west, hear } = await twoRelays({ taskAttempts: 1 })
    const id = await relays.ask(ann, "reviewer")
    await east.claim(eve.agent, id)
    await east.fail(eve.agent, id, "too hard")
    hear()
    await expect(west.claim(eve.agent, id)).rejects.toMatchObject({ code: "TASK_NOT_FOUND" })
    await relays.settle()
    expect(relays.statesOf(id)).toEqual(["claimed", "failed"])
  })

  it("accepts a repeated request of an existing task even when the queue is full", async () => {
    const { relays, east, west, hear } = await twoRelays({ roleTasks: 1 })
    const first = await relays.ask(ann, "reviewer")
    hear()
    await east.claim(eve.agent, first)
    const second = await relays.ask(ann, "reviewer")
    const again = west.push(ann.agent, relays.request("reviewer"), second)
    expect(await again).toMatchObject({ isRepeated: true })
    const third = west.push(ann.agent, relays.request("reviewer"), `${ann.id.slice(1)}.third`)
    await expect(third).rejects.toMatchObject({ code: "LIMIT_REACHED" })
  })
})
