import { describe, expect, it } from "vitest"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { AgentId } from "../../src/protocol/names.js"
import { KnownAgents } from "../../src/server/roster/known-agents.js"
import { makeAgentMemory } from "../../src/server/sessions/agent.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const limits = { identities: 30 }

async function leave(relay: TestRelay, { wire }: TestAgent): Promise<void> {
  const before = relay.log.filter((line) => line.startsWith("left:")).length
  wire.socket.destroy()
  await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(before + 1)
}

async function comeAndGo(
  relay: TestRelay,
  name: string,
  keyPair: KeyPair = generateKeyPair(),
): Promise<string> {
  const agent = await relay.enterAs(keyPair, name)
  await leave(relay, agent)
  return agent.id
}

async function flood(relay: TestRelay): Promise<void> {
  for (let n = 0; n < 60; n++) await comeAndGo(relay, `m${n}`)
}

describe("fresh keys", () => {
  it("make no agent unknown that has mail, a durable channel or a task, here and after a restart", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ limits, backbone: engine.lend() })
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    const mailed = await comeAndGo(relay, "mailed")
    await bob.wire.ask({ type: "MSG", to: mailed, content: "x" })
    const member = await relay.enterAs(generateKeyPair(), "member")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#d" })
    await member.wire.ask({ type: "JOIN", channel: "#d" })
    await leave(relay, member)
    const asker = await relay.enterAs(generateKeyPair(), "asker")
    await asker.wire.ask({ type: "MSG", to: "+nobody", content: "x" })
    await leave(relay, asker)
    await flood(relay)
    for (const name of ["mailed", "member", "asker"]) {
      expect(await bob.wire.ask({ type: "MSG", to: `@${name}`, content: "x" })).toMatchObject({ type: "ACK" })
    }
    await relay.stop()
    const next = await TestRelay.start({ limits, backbone: engine.lend() })
    const again = await next.enterAs(generateKeyPair(), "again")
    for (const name of ["mailed", "member", "asker"]) {
      expect(await again.wire.ask({ type: "MSG", to: `@${name}`, content: "x" })).toMatchObject({
        type: "ACK",
      })
    }
  })

  it("replace each other, not an agent that was here for longer", async () => {
    const relay = await TestRelay.start({ limits })
    const old = await relay.enterAs(generateKeyPair(), "old")
    relay.clock.advance(1_000)
    await old.wire.ask({ type: "PING" })
    await leave(relay, old)
    await flood(relay)
    const { wire } = await relay.enterAs(generateKeyPair(), "bob")
    expect(await wire.ask({ type: "MSG", to: "@old", content: "x" })).toMatchObject({ type: "ACK" })
    const listed = await wire.ask({ type: "LIST_AGENTS", all: true })
    expect(listed.type === "AGENTS" && listed.roster.length).toBeLessThanOrEqual(31)
  })
})

describe("an origin", () => {
  it("with many agents loses some first, also those that something waits for", async () => {
    const clock = new FakeClock()
    const memory = { ratePerSecond: 1, rateBurst: 1, rememberedIds: 10 }
    const known = new KnownAgents(clock, 40, () => makeAgentMemory(memory, clock))
    const enter = (name: string, origin: string) => {
      known.enter(name as AgentId)
      known.noteOrigin(name as AgentId, origin)
      known.leave(name as AgentId)
    }
    for (let n = 0; n < 10; n++) enter(`@honest${n}`, `192.0.2.${n}`)
    for (let n = 0; n < 40; n++) enter(`@mallory${n}`, "198.51.100.1")
    const forgotten: string[] = []
    const forget = (id: AgentId) => forgotten.push(id)
    await known.makeRoom({ isNeeded: () => Promise.resolve(true), ageOf: () => 0, forget })
    expect(forgotten).toHaveLength(10)
    expect(forgotten.filter((id) => id.startsWith("@honest"))).toEqual([])
  })
})
