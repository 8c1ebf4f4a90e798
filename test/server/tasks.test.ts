import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"

import { type TestAgent, TestRelay } from "../kit/relay.js"

const leaseMs = 60_000

async function enterWorker(relay: TestRelay, name: string, role = "reviewer"): Promise<TestAgent> {
  const worker = await relay.enterAs(generateKeyPair(), name)
  await worker.wire.ask({ type: "SET_PRESENCE", status: "idle", role })
  return worker
}

/** Returns the id of the message that asks. */
async function ask({ wire }: TestAgent, role: string, content = "look"): Promise<string> {
  const answer = await wire.ask({ type: "MSG", to: `+${role}`, content })
  if (answer.type !== "ACK" || answer.msg_id === undefined) throw new Error(JSON.stringify(answer))
  return answer.msg_id
}

function tasksIn(messages: readonly ServerMessage[]): string[] {
  return messages.filter((message) => message.type === "TASK").map(({ task }) => task)
}

describe("a task for a role", () => {
  it("goes to one of three idle workers, thirty times", async () => {
    const relay = await TestRelay.start()
    const workers = [
      await enterWorker(relay, "bob"),
      await enterWorker(relay, "eve"),
      await enterWorker(relay, "joe"),
    ]
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const asked: string[] = []
    for (let i = 0; i < 30; i++) asked.push(await ask(ann, "Reviewer"))
    const received: string[] = []
    for (let round = 0; received.length < 30 && round < 100; round++) {
      for (const { wire } of workers) {
        for (const task of tasksIn(await wire.settle())) {
          received.push(task)
          expect(await wire.ask({ type: "DONE", task, content: `did ${task}` })).toMatchObject({
            type: "ACK",
          })
        }
      }
    }
    expect([...received].sort()).toEqual([...asked].sort())
    const heard = await ann.wire.settle()
    const answers = heard.filter((message) => message.type === "MSG")
    expect(answers.map(({ in_reply_to }) => in_reply_to).sort()).toEqual([...asked].sort())
  })

  it("waits for a worker, whose answer is a message to the asker", async () => {
    const relay = await TestRelay.start()
    const annKeys = generateKeyPair()
    const ann = await relay.enterAs(annKeys, "ann")
    const parts = [{ kind: "data", data: { lines: [1, 2] } }]
    const frame = { type: "MSG", to: "+reviewer", content: "look", parts }
    const ack = await ann.wire.ask(frame)
    expect(ack).toMatchObject({ type: "ACK", state: "accepted", recipients: 0 })
    const { msg_id: id } = ack as ServerMessage<"ACK">
    expect(await ann.wire.ask({ type: "PENDING", target: "+reviewer" })).toMatchObject({
      count: 1,
      ids: [id],
    })
    ann.wire.socket.destroy()

    const bob = await enterWorker(relay, "bob")
    const task = await bob.wire.next("TASK")
    expect(task).toMatchObject({ task: id, from: ann.id, name: "ann", content: "look", parts, attempt: 1 })
    await bob.wire.ask({ type: "DONE", task: id, content: "fine" })
    expect(await bob.wire.ask({ type: "DONE", task: id, content: "fine" })).toMatchObject({ type: "ACK" })
    expect(await bob.wire.ask({ type: "PENDING", target: "+reviewer" })).toMatchObject({
      count: 0,
      claimed: 0,
    })

    const back = await relay.enterAs(annKeys, "ann")
    const heard = await back.wire.settle()
    const news = { type: "DELIVERY", msg_id: id, state: "claimed", by: bob.id }
    const answer = { type: "MSG", from: bob.id, to: ann.id, content: "fine", in_reply_to: id, kind: "inform" }
    expect(heard).toMatchObject([news, answer])
  })

  it("is acknowledged before anything else is sent about it", async () => {
    const relay = await TestRelay.start()
    await enterWorker(relay, "bob")
    const ann = await relay.enter("ann")
    ann.wire.say({ type: "MSG", id: "m", to: "+reviewer", content: "look" })
    const claimed = await ann.wire.next("DELIVERY")
    expect(claimed).toMatchObject({ state: "claimed" })
    const texts = ann.wire.frames.map(({ payload }) => payload.toString())
    const ack = texts.findIndex((text) => text.includes('"ACK"'))
    expect(JSON.parse(texts[ack] ?? "")).toMatchObject({ re: "m", recipients: 1 })
    expect(texts.findIndex((text) => text.includes('"DELIVERY"'))).toBeGreaterThan(ack)
  })

  it("goes to another worker when the lease of a disconnected one ends", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(relay, "bob")
    const id = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    const eve = await enterWorker(relay, "eve")
    bob.wire.socket.destroy()
    expect(tasksIn(await eve.wire.settle())).toEqual([])
    relay.clock.advance(leaseMs)
    expect(await eve.wire.next("TASK")).toMatchObject({ task: id, attempt: 2 })
    await eve.wire.ask({ type: "DONE", task: id })
    relay.clock.advance(leaseMs)
    expect(tasksIn(await eve.wire.settle())).toEqual([])
  })

  it("stays with a worker that extends its lease", async () => {
    const relay = await TestRelay.start({ limits: { leaseMs: 1_000 } })
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(relay, "bob")
    const task = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    const eve = await enterWorker(relay, "eve")
    for (let i = 0; i < 6; i++) {
      relay.clock.advance(500)
      expect(await bob.wire.ask({ type: "EXTEND", task })).toMatchObject({ type: "ACK", state: "done" })
    }
    expect(tasksIn(await eve.wire.settle())).toEqual([])
    expect(await eve.wire.ask({ type: "DONE", task })).toMatchObject({ type: "ERROR", code: "LEASE_LOST" })
    expect(await eve.wire.ask({ type: "CLAIM", task })).toMatchObject({ type: "ERROR", code: "LEASE_LOST" })
    relay.clock.advance(1_000)
    expect(await bob.wire.next("TASK_LOST")).toMatchObject({ task })
    expect(await eve.wire.next("TASK")).toMatchObject({ task, attempt: 2 })
  })

  it("is sent again to a worker that reconnects within its lease", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const keys = generateKeyPair()
    const bob = await relay.enterAs(keys, "bob")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const task = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    bob.wire.socket.destroy()
    const back = await relay.enterAs(keys, "bob")
    expect(await back.wire.next("TASK")).toMatchObject({ task, attempt: 1 })
    expect(await back.wire.ask({ type: "DONE", task })).toMatchObject({ type: "ACK" })
  })

  it("is not assigned to agents without a persistent identity, but they may send tasks", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enter("ann")
    const guest = await relay.enter("guest")
    await guest.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const task = await ask(ann, "reviewer")
    expect(tasksIn(await guest.wire.settle())).toEqual([])
    expect(await guest.wire.ask({ type: "CLAIM", task })).toMatchObject({ code: "IDENTITY_REQUIRED" })
    const bob = await enterWorker(relay, "bob", "tester")
    expect(await bob.wire.ask({ type: "CLAIM", task })).toMatchObject({ type: "TASK", task })
    await bob.wire.ask({ type: "DONE", task, content: "fine" })
    expect(await ann.wire.next("MSG")).toMatchObject({ content: "fine", in_reply_to: task })
  })

  it("is reported as failed to the asker after five attempts", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(relay, "bob")
    const task = await ask(ann, "reviewer")
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await bob.wire.next("TASK")).toMatchObject({ task, attempt })
      expect(await bob.wire.ask({ type: "FAIL", task, reason: "no idea" })).toMatchObject({ type: "ACK" })
    }
    const isOver = (message: ServerMessage) => message.type === "DELIVERY" && message.state === "failed"
    const heard = [...(await ann.wire.settle()), ...(await ann.wire.settle())]
    expect(heard.find(isOver)).toMatchObject({ msg_id: task, by: bob.id, reason: "no idea" })
    expect(await bob.wire.ask({ type: "FAIL", task })).toMatchObject({ code: "TASK_NOT_FOUND" })
  })
})

describe("LIST_TASKS", () => {
  it("lists waiting and claimed tasks, oldest first, with the worker and the rest of its lease", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const first = await ask(ann, "reviewer", "x".repeat(5_000))
    const bob = await enterWorker(relay, "bob")
    await bob.wire.next("TASK")
    relay.clock.advance(10_000)
    const second = await ask(ann, "tester", "test it")
    const third = await ask(ann, "reviewer", "later")
    const answer = await ann.wire.ask({ type: "LIST_TASKS" })
    const held = { task: first, role: "reviewer", from: ann.id, name: "ann", attempt: 1, worker: bob.id }
    expect(answer).toMatchObject({
      type: "TASKS",
      list: [{ ...held, lease_ms: leaseMs - 10_000 }, { task: second, attempt: 0 }, { task: third }],
    })
    expect(answer).toHaveProperty("list.0.content", "x".repeat(4_000))
    expect(answer).not.toHaveProperty("list.1.worker")
    const reviews = await ann.wire.ask({ type: "LIST_TASKS", role: "Reviewer" })
    expect(reviews).toMatchObject({ list: [{ task: first }, { task: third }] })
    await bob.wire.ask({ type: "DONE", task: first })
    const left = await ann.wire.ask({ type: "LIST_TASKS", role: "reviewer" })
    expect(left).toMatchObject({ list: [{ task: third }] })
  })

  it("lists at most 500, and says that there are more", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    for (let i = 0; i < 501; i++) await ask(ann, i % 2 === 0 ? "tester" : "reviewer")
    const answer = (await ann.wire.ask({ type: "LIST_TASKS" })) as ServerMessage<"TASKS">
    expect(answer).toMatchObject({ more: true })
    expect(answer.list).toHaveLength(500)
  })
})
