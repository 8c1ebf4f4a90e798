import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine, type LentEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }

/** Two relays over one engine. While the second is late, it gets no notifications of tables. */
async function twoRelays() {
  const clock = new FakeClock()
  const engine = await LastingEngine.make({ isShared: true })
  const late = engine.lend()
  const operators = [keys.ann, keys.bob].map(({ publicKey }) => formatDidKey(publicKey))
  const east = await TestRelay.start({ backbone: engine.lend(), clock, operators })
  const west = await TestRelay.start({ backbone: late, clock, operators })
  return { clock, east, west, late }
}

const changesTold = async ({ wire }: TestAgent) =>
  (await wire.settle()).filter(
    (message): message is ServerMessage<"CHANNEL_CHANGED"> => message.type === "CHANNEL_CHANGED",
  )

/** Delivers the delayed notifications, and waits until they have taken effect. */
async function hear(late: LentEngine, clock: FakeClock): Promise<void> {
  late.setLate(false)
  clock.advance(200)
  await new Promise((resolve) => setImmediate(resolve))
}

describe("channels of relays that share a store", () => {
  it("joins an agent to a channel that another relay created a moment ago", async () => {
    const { east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    late.setLate(true)
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#new", description: "ours" })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#new" })).toMatchObject({
      type: "JOINED",
      settings: { description: "ours" },
    })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#none" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
  })

  it("joins an agent that was invited on another relay, and sends it the invitation", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#p", invite_only: true })
    await hear(late, clock)
    late.setLate(true)
    await ann.wire.ask({ type: "INVITE", channel: "#p", agent: bob.id })
    expect(await bob.wire.next("INVITE")).toMatchObject({ channel: "#p", from: ann.id })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#p" })).toMatchObject({ type: "JOINED" })
  })

  it("creates a channel again that another relay removed a moment ago", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#x", description: "old" })
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#x" })).toMatchObject({
      code: "CHANNEL_EXISTS",
    })
    late.setLate(true)
    await ann.wire.ask({ type: "LEAVE", channel: "#x" })
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#x", durable: true })).toMatchObject({
      type: "JOINED",
      durable: true,
    })
    await hear(late, clock)
    expect(await ann.wire.ask({ type: "JOIN", channel: "#x" })).toMatchObject({ durable: true, count: 2 })
    await ann.wire.ask({ type: "MSG", to: "#x", content: "1" })
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "1" })
  })

  it("sends CHANNEL_CHANGED once for its own change, even if the store reports that late", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#x" })
    const bob = await west.enterAs(keys.bob, "bob", "#x")
    late.setLate(true)
    await bob.wire.ask({ type: "SET_CHANNEL", channel: "#x", description: "mine" })
    expect(await changesTold(bob)).toMatchObject([{ by: bob.id, settings: { description: "mine" } }])
    await hear(late, clock)
    expect(await changesTold(bob)).toEqual([])
  })

  it("ignores a reported change that is older than its own", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#x" })
    const bob = await west.enterAs(keys.bob, "bob", "#x")
    late.setLate(true)
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#x", description: "of ann" })
    const older = late.takeHeldBack()
    await bob.wire.ask({ type: "SET_CHANNEL", channel: "#x", description: "of bob" })
    expect(await changesTold(bob)).toHaveLength(1)
    for (const tell of older) tell()
    await hear(late, clock)
    expect(await changesTold(bob)).toEqual([])
    expect(await bob.wire.ask({ type: "JOIN", channel: "#x" })).toMatchObject({
      settings: { description: "of bob" },
    })
  })

  it("keeps a channel that an agent joined while another relay removed it as empty", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#x", description: "ours" })
    const bob = await west.enterAs(keys.bob, "bob", "#x")
    await ann.wire.ask({ type: "LEAVE", channel: "#x" })
    await hear(late, clock)
    const eve = await east.enterAs(keys.eve, "eve")
    expect(await eve.wire.ask({ type: "JOIN", channel: "#x" })).toMatchObject({
      settings: { description: "ours" },
    })
    await eve.wire.ask({ type: "MSG", to: "#x", content: "still here?" })
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "still here?" })
  })

  it("keeps the defaults that others have set when it sets another one", async () => {
    const { clock, east, west, late } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    late.setLate(true)
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "*", replay: false })
    await bob.wire.ask({ type: "SET_CHANNEL", channel: "*", window: "1h" })
    await hear(late, clock)
    for (const { wire } of [ann, bob]) {
      expect(await wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({
        defaults: { replay: false, window: "1h" },
      })
    }
  })
})
