import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { type TestAgent, TestRelay } from "../../kit/relay.js"

/** Lets the relay look `count` times, every one of `living` giving a sign of life before each. */
async function look(house: TestRelay, count: number, ...living: TestAgent[]): Promise<ServerMessage[]> {
  const told: ServerMessage[] = []
  for (let i = 0; i < count; i++) {
    house.clock.advance(2_000)
    // Two round trips: the look waits for the turn in which it was due to end.
    for (const { wire } of living) told.push(...(await wire.settle()), ...(await wire.settle()))
  }
  return told
}

/** From now on it neither reads nor answers, like a frozen process. */
function freeze({ wire }: TestAgent): () => void {
  wire.socket.pause()
  return () => void wire.socket.resume()
}

async function statusOf(observer: TestAgent, id: string): Promise<object | undefined> {
  const answer = await observer.wire.ask({ type: "LIST_AGENTS" })
  if (answer.type !== "AGENTS") throw new Error(`not listed: ${JSON.stringify(answer)}`)
  return answer.roster.find((entry) => entry.id === id)
}

describe("a heartbeat", () => {
  it("row 23: alone tells nobody anything", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await look(house, 1, bob, eve)
    expect(await look(house, 10, bob, eve)).toEqual([])
    expect(bob.wire.frames.some(({ opcode }) => opcode === 9)).toBe(false)
  })

  it("is asked for with a ping of those who said nothing, and the answer is enough", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    for (let i = 0; i < 12; i++) {
      const pings = bob.wire.frames.length
      await look(house, 1, eve)
      if (i % 2 === 1) await expect.poll(() => bob.wire.frames.length).toBeGreaterThan(pings)
    }
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "idle" })
    expect(bob.wire.frames.filter(({ opcode }) => opcode === 9).length).toBeGreaterThan(3)
  })

  it("row 22: that does not come shows an agent offline within 8 s, and its return shows it as it was", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    const ann = await house.enter("ann", "#skills")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "waiting", activity: "a review" })
    await look(house, 1, eve, ann)
    const since = house.clock.now() - 2_000
    const thaw = freeze(bob)
    const told = await look(house, 3, eve, ann)
    expect(told).toMatchObject([
      { type: "PRESENCE_CHANGED", agent: bob.id, name: "bob", status: "offline", activity: "a review" },
    ])
    expect(await statusOf(eve, bob.id)).toMatchObject({
      status: "offline",
      since: house.clock.now(),
      seen_ts: since + 2_000,
    })
    thaw()
    await bob.wire.settle()
    expect(await look(house, 1, eve, ann)).toMatchObject([
      { type: "PRESENCE_CHANGED", agent: bob.id, status: "waiting", activity: "a review" },
    ])
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "waiting", since })
  })

  it("row 27: that does not come leaves the name to whoever bears it and is alive", async () => {
    const house = await TestRelay.start()
    const ghost = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    const bob = await house.enter("bob")
    await look(house, 1, eve, bob)
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({
      code: "AMBIGUOUS_NAME",
    })
    freeze(ghost)
    await look(house, 3, eve, bob)
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

  it("that does not come for a minute ends the session", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await look(house, 1, bob, eve)
    freeze(bob)
    await look(house, 29, eve)
    expect(house.relay.health()).toMatchObject({ agents: 2 })
    const told = await look(house, 2, eve)
    await expect.poll(() => house.relay.health()).toMatchObject({ agents: 1 })
    house.clock.advance(100)
    expect([...told, ...(await eve.wire.settle())]).toContainEqual(
      expect.objectContaining({ type: "AGENT_LEFT", agent: bob.id }),
    )
  })

  it("is not missed while the relay itself stood still", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await look(house, 1, bob, eve)
    house.clock.advance(3_600_000)
    expect(await bob.wire.settle()).toEqual([])
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "idle" })
  })

  it("row 22: an agent whose connection ends is offline at once", async () => {
    const house = await TestRelay.start()
    const bob = await house.enterAs(generateKeyPair(), "bob", "#general")
    const eve = await house.enter("eve", "#general")
    bob.wire.socket.destroy()
    await expect.poll(() => statusOf(eve, bob.id)).toMatchObject({ status: "offline" })
  })

  it("row 75: of an agent that says working and does nothing shows it stale after two minutes", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "tests" })
    await look(house, 60, bob, eve)
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
    await look(house, 1, bob, eve)
    expect(await statusOf(eve, bob.id)).toMatchObject({ status: "working", stale: true })
    await bob.wire.ask({ type: "MSG", to: "#general", content: "still here" })
    expect(await statusOf(eve, bob.id)).toMatchObject({ answered_ts: house.clock.now() })
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
    await look(house, 61, bob, eve)
    expect(await statusOf(eve, bob.id)).toMatchObject({ stale: true })
    await bob.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "tests" })
    expect(await statusOf(eve, bob.id)).not.toHaveProperty("stale")
  })
})
