import { describe, expect, it } from "vitest"
import type { Table } from "../../src/backbone/backbone.js"
import { ChatError } from "../../src/protocol/errors.js"
import type { AgentId } from "../../src/protocol/names.js"
import type { TaskService } from "../../src/server/tasks/task-service.js"
import { TaskRelays, TestWorker } from "../kit/task-relays.js"

const leaseMs = 60_000
const [ann, bob, eve] = [
  new TestWorker(1),
  () => new TestWorker(2, "reviewer"),
  () => new TestWorker(3, "reviewer"),
]

/** The table of a relay that never comes to write down that a task ended. */
function endless(table: Table): Table {
  const put: Table["put"] = async (key, value, expected) => {
    if (value.includes("endedTs")) throw new ChatError("UNAVAILABLE", "away")
    return await table.put(key, value, expected)
  }
  return {
    ...{ put, get: (key) => table.get(key), delete: (key, expected) => table.delete(key, expected) },
    ...{ rows: () => table.rows(), watch: (listener) => table.watch(listener) },
  }
}

/** Relays, of which the first is killed when it should end the task that Bob has; Eve is at the second. */
async function twoRelays(count = 2) {
  let opened = 0
  const relays = await TaskRelays.open({
    count,
    table: (shared) => (opened++ === 0 ? endless(shared) : shared),
  })
  const [east, west] = relays.all as [TaskService, TaskService]
  const worker = bob()
  east.enter(worker.agent)
  const id = await relays.ask(ann, "reviewer")
  await relays.settle()
  const other = eve()
  west.enter(other.agent)
  const done = (service: TaskService) => service.done(worker.agent, id, "fine")
  return { relays, east, west, id, done, other }
}

describe("a task whose worker sent DONE to a relay that was then killed", () => {
  it("goes to no other worker, is answered once, and is ended by another relay", async () => {
    const { relays, east, west, id, done, other } = await twoRelays()
    await expect(done(east)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    east.close()
    await relays.advance(leaseMs)
    expect(other.taskIds).toEqual([])
    expect([...relays.answers.values()]).toMatchObject([{ from: bob().id, content: "fine" }])
    expect(west.pending("reviewer")).toEqual({ count: 0, ids: [], claimed: 0 })
    await done(west)
    expect(relays.answers.size).toBe(1)
    await expect(west.done(other.agent, id, "better")).rejects.toMatchObject({ code: "TASK_NOT_FOUND" })
  })

  it("is answered even if the relay had not started to send the answer", async () => {
    const { relays, east, west, done, other } = await twoRelays()
    relays.answerFault = new ChatError("UNAVAILABLE", "away")
    await expect(done(east)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    east.close()
    await relays.advance(leaseMs)
    expect(relays.log).toEqual([`tasks: answer for ${ann.id} is not sent yet: UNAVAILABLE`])
    expect(west.pending("reviewer").claimed).toBe(1)
    relays.answerFault = undefined
    await relays.advance(1_000)
    expect([...relays.answers.values()]).toMatchObject([{ from: bob().id, content: "fine" }])
    expect(west.pending("reviewer").claimed).toBe(0)
    expect(other.taskIds).toEqual([])
  })

  it("waits for another worker after one lease when the mailbox of the asker is full", async () => {
    const { relays, east, west, id, done, other } = await twoRelays()
    relays.answerFault = new ChatError("UNAVAILABLE", "away")
    await expect(done(east)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    east.close()
    relays.answerFault = new ChatError("MAILBOX_FULL", "full")
    await relays.advance(leaseMs)
    expect(other.taskIds).toEqual([])
    await relays.advance(leaseMs)
    expect(other.taskIds).toEqual([id])
    relays.answerFault = undefined
    await west.done(other.agent, id, "better")
    expect([...relays.answers.values()]).toMatchObject([{ from: other.id, content: "better" }])
  })

  it("is answered by one other relay alone when the asker has no persistent identity", async () => {
    const { relays, east } = await twoRelays(3)
    const guest = Object.assign(new TestWorker(9), { id: "@00000009" as AgentId })
    const id = await relays.ask(guest, "reviewer")
    await east.claim(bob().agent, id)
    relays.answerFault = new ChatError("UNAVAILABLE", "away")
    await expect(east.done(bob().agent, id, "fine")).rejects.toMatchObject({ code: "UNAVAILABLE" })
    east.close()
    relays.answerFault = undefined
    await relays.advance(leaseMs)
    expect(relays.answersSent.filter((task) => task === id)).toHaveLength(1)
  })

  it("cannot be given back by that worker", async () => {
    const { relays, east, west, id, done } = await twoRelays()
    relays.answerFault = new ChatError("UNAVAILABLE", "away")
    await expect(done(east)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    const failed = west.fail(bob().agent, id, "too hard")
    await expect(failed).rejects.toMatchObject({
      code: "LEASE_LOST",
      message: expect.stringMatching(/answered/),
    })
  })
})

describe("DONE", () => {
  it("is not confused with a FAIL that its worker sent a moment before", async () => {
    const relays = await TaskRelays.open({ isSlow: true })
    const worker = bob()
    relays.first.enter(worker.agent)
    const id = await relays.ask(ann, "reviewer")
    await relays.settle()
    relays.first.enter(eve().agent)
    const failing = relays.first.fail(worker.agent, id, "too hard")
    await expect(relays.first.done(worker.agent, id, "fine")).rejects.toMatchObject({ code: "LEASE_LOST" })
    await failing
    expect(relays.answers.size).toBe(0)
  })

  it("has no effect when the mailbox of the asker is full", async () => {
    const relays = await TaskRelays.open()
    const worker = bob()
    relays.first.enter(worker.agent)
    const id = await relays.ask(ann, "reviewer")
    await relays.settle()
    relays.answerFault = new ChatError("MAILBOX_FULL", "full")
    await expect(relays.first.done(worker.agent, id, "fine")).rejects.toMatchObject({ code: "MAILBOX_FULL" })
    await relays.first.fail(worker.agent, id, "no relays")
    await relays.settle()
    expect(worker.tasks.map(({ attempt }) => attempt)).toEqual([1, 2])
  })
})
