import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { type TestAgent, TestRelay } from "../../kit/relay.js"

/** Lets the relay probe `count` times. Each of `living` sends something before each probe. */
async function probe(relay: TestRelay, count: number, ...living: TestAgent[]): Promise<ServerMessage[]> {
  const received: ServerMessage[] = []
  for (let i = 0; i < count; i++) {
    relay.clock.advance(2_000)
    // Two round trips: the probe runs after the turn in which its timer fires.
    for (const { wire } of living) received.push(...(await wire.settle()), ...(await wire.settle()))
  }
  return received
}

/** Stops an agent from reading and answering, like a suspended process. */
function freeze({ wire }: TestAgent): () => void {
  wire.socket.pause()
  return () => void wire.socket.resume()
}

async function statusOf(observer: TestAgent, id: string): Promise<object | undefined> {
  const answer = await observer.wire.ask({ type: "LIST_AGENTS" })
  if (answer.type !== "AGENTS") throw new Error(`not listed: ${JSON.stringify(answer)}`)
  return answer.roster.find((entry) => entry.id === id)
}

describe("Heartbeat", () => {
  it("sends nothing while all agents are alive", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await probe(relay, 1, bob, eve)
    expect(await probe(relay, 10, bob, eve)).toEqual([])
    expect(bob.wire.frames.some(({ opcode }) => opcode === 9)).toBe(false)
  })

  it("pings silent sessions, and a pong keeps them online", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    for (let i = 0; i < 12; i++) {
      const pings = bob.wire.frames.length
      await probe(relay, 1, eve)
      if (i % 2 === 1) await expect.poll(() => bob.wire.frames.length).toBeGreaterThan(pings)
    }
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "idle" })
    expect(bob.wire.frames.filter(({ opcode }) => opcode === 9).length).toBeGreaterThan(3)
  })

  it("shows a silent agent offline within 8 s, and as it was when it returns", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const ann = await relay.enter("ann", "#skills")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "waiting", activity: "a review" })
    await probe(relay, 1, eve, ann)
    const since = relay.clock.now() - 2_000
    const thaw = freeze(bob)
    const received = await probe(relay, 3, eve, ann)
    expect(received).toMatchObject([
      { type: "PRESENCE_CHANGED", agent: bob.id, name: "bob", status: "offline", activity: "a review" },
    ])
    expect(await statusOf(eve, bob.id)).toMatchObject({
      status: "offline",
      since: relay.clock.now(),
      seen_ts: since + 2_000,
    })
    thaw()
    await bob.wire.settle()
    expect(await probe(relay, 1, eve, ann)).toMatchObject([
      { type: "PRESENCE_CHANGED", agent: bob.id, status: "waiting", activity: "a review" },
    ])
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "waiting", since })
  })

  it("resolves a name to the live agent if the other one is silent", async () => {
    const relay = await TestRelay.start()
    const ghost = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const bob = await relay.enter("bob")
    await probe(relay, 1, eve, bob)
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({
      code: "AMBIGUOUS_NAME",
    })
    freeze(ghost)
    await probe(relay, 3, eve, bob)
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({ list: [bob.id] })
    expect(await eve.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({
      list: [eve.id, bob.id],
      roster: [{ id: eve.id }, { id: bob.id }, { id: ghost.id, status: "offline" }],
    })
    bob.wire.socket.destroy()
    await expect
      .poll(() => eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" }))
      .toMatchObject({ list: [], roster: [{ id: ghost.id, status: "offline" }] })
  })

  it("ends a session after a minute of silence", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await probe(relay, 1, bob, eve)
    freeze(bob)
    await probe(relay, 29, eve)
    expect(relay.relay.health()).toMatchObject({ agents: 2 })
    const received = await probe(relay, 2, eve)
    await expect.poll(() => relay.relay.health()).toMatchObject({ agents: 1 })
    relay.clock.advance(100)
    expect([...received, ...(await eve.wire.settle())]).toContainEqual(
      expect.objectContaining({ type: "AGENT_LEFT", agent: bob.id }),
    )
  })

  it("ignores silence while the relay itself was suspended", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await probe(relay, 1, bob, eve)
    relay.clock.advance(3_600_000)
    expect(await bob.wire.settle()).toEqual([])
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "idle" })
  })

  it("shows an agent offline at once when its connection ends", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(generateKeyPair(), "bob", "#general")
    const eve = await relay.enter("eve", "#general")
    bob.wire.socket.destroy()
    await expect.poll(() => statusOf(eve, bob.id)).toMatchObject({ status: "offline" })
  })

  it("shows an agent stale that is `working` without activity for two minutes", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "tests" })
    await probe(relay, 60, bob, eve)
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
    await probe(relay, 1, bob, eve)
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "working", stale: true })
    await bob.wire.ask({ type: "MSG", to: "#general", content: "still here" })
    expect(await statusOf(eve, bob.id)).toMatchObject({ answered_ts: relay.clock.now() })
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
    await probe(relay, 61, bob, eve)
    expect(await statusOf(eve, bob.id)).toMatchObject({ stale: true })
    await bob.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "tests" })
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
  })
})
