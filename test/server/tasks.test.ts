import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"

import { type TestAgent, TestRelay } from "../kit/relay.js"

const leaseMs = 60_000

async function enterWorker(house: TestRelay, name: string, role = "reviewer"): Promise<TestAgent> {
  const worker = await house.enterAs(generateKeyPair(), name)
  await worker.wire.ask({ type: "SET_PRESENCE", status: "idle", role })
  return worker
}

/** The id of the message that asks. */
async function ask({ wire }: TestAgent, role: string, content = "look"): Promise<string> {
  const answer = await wire.ask({ type: "MSG", to: `+${role}`, content })
  if (answer.type !== "ACK" || answer.msg_id === undefined) throw new Error(JSON.stringify(answer))
  return answer.msg_id
}

function tasksIn(messages: readonly ServerMessage[]): string[] {
  return messages.filter((message) => message.type === "TASK").map(({ task }) => task)
}

describe("work for a role", () => {
  it("row 9: comes to one of three idle workers, thirty times", async () => {
    const house = await TestRelay.start()
    const workers = [
      await enterWorker(house, "bob"),
      await enterWorker(house, "eve"),
      await enterWorker(house, "joe"),
    ]
    const ann = await house.enterAs(generateKeyPair(), "ann")
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

  it("row 10: waits until a worker comes, whose answer is a message to who asked", async () => {
    const house = await TestRelay.start()
    const annKeys = generateKeyPair()
    const ann = await house.enterAs(annKeys, "ann")
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

    const bob = await enterWorker(house, "bob")
    const task = await bob.wire.next("TASK")
    expect(task).toMatchObject({ task: id, from: ann.id, name: "ann", content: "look", parts, attempt: 1 })
    await bob.wire.ask({ type: "DONE", task: id, content: "fine" })
    expect(await bob.wire.ask({ type: "DONE", task: id, content: "fine" })).toMatchObject({ type: "ACK" })
    expect(await bob.wire.ask({ type: "PENDING", target: "+reviewer" })).toMatchObject({
      count: 0,
      claimed: 0,
    })

    const back = await house.enterAs(annKeys, "ann")
    const heard = await back.wire.settle()
    const news = { type: "DELIVERY", msg_id: id, state: "claimed", by: bob.id }
    const answer = { type: "MSG", from: bob.id, to: ann.id, content: "fine", in_reply_to: id, kind: "inform" }
    expect(heard).toMatchObject([news, answer])
  })

  it("is acknowledged before anything is told of it", async () => {
    const house = await TestRelay.start()
    await enterWorker(house, "bob")
    const ann = await house.enter("ann")
    ann.wire.say({ type: "MSG", id: "m", to: "+reviewer", content: "look" })
    const claimed = await ann.wire.next("DELIVERY")
    expect(claimed).toMatchObject({ state: "claimed" })
    const texts = ann.wire.frames.map(({ payload }) => payload.toString())
    const ack = texts.findIndex((text) => text.includes('"ACK"'))
    expect(JSON.parse(texts[ack] ?? "")).toMatchObject({ re: "m", recipients: 1 })
    expect(texts.findIndex((text) => text.includes('"DELIVERY"'))).toBeGreaterThan(ack)
  })

  it("row 11: of a worker that is cut off goes to another when the lease ends", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(house, "bob")
    const id = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    const eve = await enterWorker(house, "eve")
    bob.wire.socket.destroy()
    expect(tasksIn(await eve.wire.settle())).toEqual([])
    house.clock.advance(leaseMs)
    expect(await eve.wire.next("TASK")).toMatchObject({ task: id, attempt: 2 })
    await eve.wire.ask({ type: "DONE", task: id })
    house.clock.advance(leaseMs)
    expect(tasksIn(await eve.wire.settle())).toEqual([])
  })

  it("row 12: stays with a worker that asks for more time", async () => {
    const house = await TestRelay.start({ limits: { leaseMs: 1_000 } })
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(house, "bob")
    const task = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    const eve = await enterWorker(house, "eve")
    for (let i = 0; i < 6; i++) {
      house.clock.advance(500)
      expect(await bob.wire.ask({ type: "EXTEND", task })).toMatchObject({ type: "ACK", state: "done" })
    }
    expect(tasksIn(await eve.wire.settle())).toEqual([])
    expect(await eve.wire.ask({ type: "DONE", task })).toMatchObject({ type: "ERROR", code: "LEASE_LOST" })
    expect(await eve.wire.ask({ type: "CLAIM", task })).toMatchObject({ type: "ERROR", code: "LEASE_LOST" })
    house.clock.advance(1_000)
    expect(await bob.wire.next("TASK_LOST")).toMatchObject({ task })
    expect(await eve.wire.next("TASK")).toMatchObject({ task, attempt: 2 })
  })

  it("is told again to a worker that comes back within its lease", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const keys = generateKeyPair()
    const bob = await house.enterAs(keys, "bob")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const task = await ask(ann, "reviewer")
    await bob.wire.next("TASK")
    bob.wire.socket.destroy()
    const back = await house.enterAs(keys, "bob")
    expect(await back.wire.next("TASK")).toMatchObject({ task, attempt: 1 })
    expect(await back.wire.ask({ type: "DONE", task })).toMatchObject({ type: "ACK" })
  })

  it("is nothing for those without a key, unless they ask", async () => {
    const house = await TestRelay.start()
    const ann = await house.enter("ann")
    const guest = await house.enter("guest")
    await guest.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const task = await ask(ann, "reviewer")
    expect(tasksIn(await guest.wire.settle())).toEqual([])
    expect(await guest.wire.ask({ type: "CLAIM", task })).toMatchObject({ code: "IDENTITY_REQUIRED" })
    const bob = await enterWorker(house, "bob", "tester")
    expect(await bob.wire.ask({ type: "CLAIM", task })).toMatchObject({ type: "TASK", task })
    await bob.wire.ask({ type: "DONE", task, content: "fine" })
    expect(await ann.wire.next("MSG")).toMatchObject({ content: "fine", in_reply_to: task })
  })

  it("comes back to who asked as failed after five tries", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(generateKeyPair(), "ann")
    const bob = await enterWorker(house, "bob")
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
