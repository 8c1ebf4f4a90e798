import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { RosterEntry, ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine, type LentEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { prove, type TestAgent, TestRelay } from "../kit/relay.js"

interface Cluster {
  readonly clock: FakeClock
  readonly east: TestRelay
  readonly west: TestRelay
  readonly westAccess: LentEngine
  readonly engine: LastingEngine
}

async function startTwo(): Promise<Cluster> {
  const clock = new FakeClock()
  const engine = await LastingEngine.make({ isShared: true })
  const westAccess = engine.lend()
  const east = await TestRelay.start({ backbone: engine.lend(), clock })
  const west = await TestRelay.start({ backbone: westAccess, clock })
  return { clock, east, west, westAccess, engine }
}

/** Lets delayed writes happen, and every relay of `living` send a heartbeat. */
async function pass(clock: FakeClock, ms: number, ...living: TestAgent[]): Promise<ServerMessage[]> {
  const told: ServerMessage[] = []
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    for (const { wire } of living) told.push(...(await wire.settle()))
  }
  for (const { wire } of living) told.push(...(await wire.settle()))
  return told
}

/** Advances the clock in steps of the relays' checks. */
async function look(clock: FakeClock, count: number, ...living: TestAgent[]): Promise<ServerMessage[]> {
  const told: ServerMessage[] = []
  for (let i = 0; i < count; i++) {
    clock.advance(2_000)
    for (const { wire } of living) told.push(...(await wire.settle()), ...(await wire.settle()))
  }
  return told
}

async function rosterOf({ wire }: TestAgent, filter: object = {}): Promise<readonly RosterEntry[]> {
  const answer = await wire.ask({ type: "LIST_AGENTS", ...filter })
  if (answer.type !== "AGENTS") throw new Error(JSON.stringify(answer))
  return answer.roster
}

describe("two relays that share a backbone", () => {
  it("know each other's agents, and report who joins and leaves and every presence", async () => {
    const { clock, east, west } = await startTwo()
    const bob = await east.enter("bob", "#general")
    const eve = await west.enter("eve", "#general")
    expect(await pass(clock, 300, bob)).toMatchObject([{ type: "AGENT_JOINED", agent: eve.id, name: "eve" }])
    expect(await rosterOf(bob)).toMatchObject([{ id: bob.id }, { id: eve.id, status: "idle" }])
    expect(await rosterOf(eve, { channel: "#general" })).toMatchObject([{ id: eve.id }, { id: bob.id }])
    expect(await rosterOf(eve, { agent: "@bob" })).toMatchObject([{ id: bob.id }])
    const ann = await west.enter("ann")
    expect(await ann.wire.ask({ type: "JOIN", channel: "#general" })).toMatchObject({
      agents: expect.arrayContaining([ann.id, bob.id, eve.id]),
      count: 3,
    })
    expect(await ann.wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({
      list: expect.arrayContaining([expect.objectContaining({ name: "#general", agents: 3 })]),
    })
    await pass(clock, 300, bob, eve)
    await eve.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "tests", role: "tester" })
    expect(await pass(clock, 300, bob)).toMatchObject([
      { type: "PRESENCE_CHANGED", agent: eve.id, status: "working", activity: "tests", role: "tester" },
    ])
    eve.wire.socket.destroy()
    await expect.poll(() => west.log.some((line) => line.startsWith("left:"))).toBe(true)
    expect(await pass(clock, 300, bob)).toMatchObject([{ type: "AGENT_LEFT", agent: eve.id }])
    expect((await rosterOf(bob)).map(({ id }) => id).sort()).toEqual([bob.id, ann.id].sort())
  })

  it("find an agent by name on either relay", async () => {
    const { clock, east, west } = await startTwo()
    const bob = await east.enter("bob")
    const eve = await west.enter("eve")
    const second = await west.enter("Bob")
    await pass(clock, 200, bob, eve)
    expect(await bob.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({
      code: "AMBIGUOUS_NAME",
      candidates: [bob.id, second.id],
    })
    expect(await bob.wire.ask({ type: "LIST_AGENTS", agent: "@eve" })).toMatchObject({ list: [eve.id] })
  })

  it("give an identity to the session that began last, even if a clock is behind", async () => {
    const { clock, east, west } = await startTwo()
    const keys = generateKeyPair()
    const watcher = await east.enter("eve", "#general")
    clock.advance(100)
    const first = await east.enterAs(keys, "bob", "#general")
    await pass(clock, 300, watcher)
    const second = await west.enterAs(keys, "bob", "#general")
    clock.advance(100)
    expect(await first.wire.next("SESSION_DISPLACED")).toMatchObject({ reason: expect.any(String) })
    expect(await first.wire.ended()).toMatchObject({ code: 4001 })
    await pass(clock, 300, watcher, second)
    expect(await rosterOf(watcher)).toMatchObject([{ id: watcher.id }, { id: first.id, status: "idle" }])
    const third = await east.enterAs(keys, "bob")
    clock.advance(100)
    expect(await second.wire.ended()).toMatchObject({ code: 4001 })
    await pass(clock, 300, watcher, third)
    expect(await rosterOf(third)).toMatchObject([{ id: watcher.id }, { id: third.id, status: "idle" }])
  })

  it("show the agents of a silent relay as offline, then as gone, and all of them when it is back", async () => {
    const { clock, east, west, westAccess } = await startTwo()
    const bob = await east.enter("bob", "#general")
    const eve = await west.enter("eve", "#general")
    const ann = await west.enterAs(generateKeyPair(), "ann", "#general")
    await pass(clock, 300, bob)
    await eve.wire.ask({ type: "SET_PRESENCE", status: "away" })
    await pass(clock, 300, bob)
    await look(clock, 1, bob, eve, ann)
    westAccess.setReachable(false)
    const told = await look(clock, 3, bob, eve, ann)
    const ofBob = (id: string) => told.filter((message) => "agent" in message && message.agent === id)
    expect(ofBob(eve.id)).toMatchObject([{ type: "PRESENCE_CHANGED", status: "offline" }])
    expect(await rosterOf(bob)).toMatchObject([{ id: bob.id }, { status: "offline" }, { status: "offline" }])
    // A relay that is cut off keeps its roster.
    expect(await rosterOf(eve, { agent: "@bob" })).toMatchObject([{ status: "idle" }])
    westAccess.setReachable(true)
    expect(await look(clock, 2, bob, eve, ann)).toContainEqual(
      expect.objectContaining({ type: "PRESENCE_CHANGED", agent: eve.id, status: "away" }),
    )
    westAccess.setReachable(false)
    await look(clock, 31, bob, eve, ann)
    await pass(clock, 300, bob)
    expect(await rosterOf(bob)).toMatchObject([{ id: bob.id }, { id: ann.id, status: "offline" }])
    expect(await rosterOf(bob, { channel: "#general" })).toMatchObject([{ id: bob.id }])
    westAccess.setReachable(true)
    await look(clock, 2, bob, eve, ann)
    await pass(clock, 2_000, bob, eve, ann)
    expect((await rosterOf(bob, { channel: "#general" })).map(({ name }) => name).sort()).toEqual([
      "ann",
      "bob",
      "eve",
    ])
  })

  it("show the agents of a stopped relay as offline at once", async () => {
    const { clock, east, west } = await startTwo()
    const bob = await east.enter("bob", "#general")
    const ann = await west.enterAs(generateKeyPair(), "ann", "#general")
    await pass(clock, 300, bob)
    await west.stop()
    expect(await pass(clock, 200, bob)).toMatchObject([{ type: "AGENT_LEFT", agent: ann.id }])
    expect(await rosterOf(bob)).toMatchObject([{ id: bob.id }, { id: ann.id, status: "offline" }])
  })

  it("remember disconnected agents after a restart", async () => {
    const { clock, west, engine } = await startTwo()
    const ann = await west.enterAs(generateKeyPair(), "ann")
    await pass(clock, 200, ann)
    await west.stop()
    const again = await TestRelay.start({ backbone: engine.lend(), clock })
    const bob = await again.enter("bob")
    expect(await rosterOf(bob, { agent: "@ann" })).toMatchObject([{ id: ann.id, status: "offline" }])
  })
})

describe("a relay that keeps its roster on disk", () => {
  it("remembers disconnected agents with role and card after it was killed", async () => {
    const engine = await LastingEngine.make()
    const first = await TestRelay.start({ backbone: engine.lend() })
    const wire = await first.connect()
    const keys = generateKeyPair()
    wire.say({
      type: "IDENTIFY",
      name: "ann",
      pubkey: formatDidKey(keys.publicKey),
      role: "builder",
      card: { description: "x" },
    })
    wire.say(prove(await wire.next("CHALLENGE"), keys))
    const { agent_id } = await wire.next("WELCOME")
    const eve = await first.enter("eve")
    first.clock.advance(100)
    await eve.wire.settle()
    // The first relay did not sign off: the second starts with what it had written.
    const second = await TestRelay.start({ backbone: engine.lend() })
    const bob = await second.enter("bob")
    expect(await rosterOf(bob)).toMatchObject([
      { id: bob.id },
      { id: agent_id, status: "offline", role: "builder" },
    ])
    expect(await rosterOf(bob, { agent: "@ann" })).toMatchObject([{ card: { description: "x" } }])
    expect(await bob.wire.ask({ type: "MSG", to: "@ann", content: "hi" })).toMatchObject({
      type: "ACK",
      to: agent_id,
    })
  })
})
