import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

async function ask({ wire }: TestAgent, role = "reviewer", content = "x"): Promise<ServerMessage> {
  return wire.ask({ type: "MSG", to: `+${role}`, content })
}

async function flood(agent: TestAgent, role?: string, content?: string): Promise<number> {
  for (let n = 0; n < 200; n++) {
    const answer = await ask(agent, role, content)
    if (answer.type === "ACK") continue
    expect(answer).toMatchObject({ code: "LIMIT_REACHED" })
    return n
  }
  return 200
}

async function countOf({ wire }: TestAgent, role = "reviewer"): Promise<unknown> {
  const answer = (await wire.ask({ type: "PENDING", target: `+${role}` })) as ServerMessage<"PENDING">
  return [answer.count, answer.claimed]
}

async function leave(relay: TestRelay, { wire }: TestAgent): Promise<void> {
  const before = relay.log.filter((line) => line.startsWith("left:")).length
  wire.socket.destroy()
  await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(before + 1)
}

describe("the tasks of a role", () => {
  it("are a quarter those of one origin at most: a key, or all agents without one", async () => {
    const relay = await TestRelay.start({ limits: { roleTasks: 80 } })
    expect(await flood(await relay.enterAs(generateKeyPair(), "mallory"))).toBe(20)
    const guests = [await relay.enter("guest1"), await relay.enter("guest2")] as const
    const first = await flood(guests[0])
    expect(first).toBeGreaterThan(5)
    expect(await flood(guests[1])).toBe(0)
    expect(await ask(await relay.enterAs(generateKeyPair(), "honest"))).toMatchObject({ type: "ACK" })
  })

  it("leave room for other roles, also with long texts", async () => {
    for (const limits of [{ tasks: 80 }, { taskCharacters: 80_000 }]) {
      const relay = await TestRelay.start({ limits })
      const mallory = await relay.enterAs(generateKeyPair(), "mallory")
      for (let role = 0; role < 10; role++) await flood(mallory, `role${role}`, "x".repeat(1_000))
      expect(await ask(await relay.enterAs(generateKeyPair(), "honest"))).toMatchObject({ type: "ACK" })
    }
  })
})

describe("a task", () => {
  it("ends with its asker if that has no key, also one that a worker has", async () => {
    const relay = await TestRelay.start()
    const guest = await relay.enter("guest")
    const worker = await relay.enterAs(generateKeyPair(), "worker")
    await ask(guest)
    const { msg_id } = (await ask(guest)) as ServerMessage<"ACK">
    expect(await worker.wire.ask({ type: "CLAIM", task: msg_id })).toMatchObject({ type: "TASK" })
    expect(await countOf(worker)).toEqual([1, 1])
    await leave(relay, guest)
    expect(await worker.wire.next("TASK_LOST")).toMatchObject({ task: msg_id })
    expect(await countOf(worker)).toEqual([0, 0])
  })

  it("of an asker without a key is not there after the relay was killed", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    await ask(await relay.enter("guest"))
    await ask(await relay.enterAs(generateKeyPair(), "key"))
    const next = await TestRelay.start({ backbone: engine.lend() })
    expect(await countOf(await next.enter("looker"))).toEqual([1, 0])
  })

  it("fails after 7 days, which its asker gets as DELIVERY", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const asker = await relay.enterAs(keyPair, "asker")
    await ask(asker)
    await leave(relay, asker)
    relay.clock.advance(defaultLimits.taskMs + 600_000)
    const again = await relay.enterAs(keyPair, "asker")
    expect(await again.wire.next("DELIVERY")).toMatchObject({
      ...{ state: "failed", by: "+reviewer", reason: "not finished within 7 days" },
    })
    expect(await countOf(again)).toEqual([0, 0])
  })
})
