import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { LastingEngine } from "../../kit/engine.js"
import { type TestAgent, TestRelay } from "../../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }

async function contentsOf({ wire }: TestAgent): Promise<string[]> {
  const messages = await wire.settle()
  return messages.flatMap((message) => (message.type === "MSG" ? [message.content] : []))
}

/** Has ann make channels, then starts another relay on the same store, as after `kill -9`. */
async function restart(isShared: boolean): Promise<TestRelay> {
  const engine = await LastingEngine.make({ isShared })
  const first = await TestRelay.start({ backbone: engine.lend() })
  const ann = await first.enterAs(keys.ann, "ann", "#general")
  const { id: bob } = await first.enterAs(keys.bob, "bob")
  expect(
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#plain", description: "what it is for" }),
  ).not.toHaveProperty("in_memory")
  await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#bare" })
  await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#private", invite_only: true })
  await ann.wire.ask({ type: "INVITE", channel: "#private", agent: bob })
  for (const to of ["#general", "#plain", "#bare", "#private"]) {
    expect(await ann.wire.ask({ type: "MSG", to, content: `in ${to}` })).toMatchObject({ type: "ACK" })
  }
  return await TestRelay.start({ backbone: engine.lend() })
}

describe.each([
  ["one relay", false],
  ["several relays", true],
])("a relay that is killed and started again on the store of %s", (_store, isShared) => {
  it("still has every channel, with its settings", async () => {
    const relay = await restart(isShared)
    const { wire } = await relay.enterAs(keys.bob, "bob")
    const { list } = (await wire.ask({ type: "LIST_CHANNELS" })) as ServerMessage<"CHANNELS">
    expect(list.map(({ name }) => name)).toEqual([
      "#agents",
      "#bare",
      "#general",
      "#plain",
      "#private",
      "#skills",
    ])
    expect(list).toContainEqual(
      expect.objectContaining({ name: "#plain", settings: { description: "what it is for" } }),
    )
  })

  it("replays what was said in each channel, #general included", async () => {
    const relay = await restart(isShared)
    for (const channel of ["#general", "#plain", "#bare", "#private"]) {
      const bob = await relay.enterAs(keys.bob, "bob", channel)
      expect(await contentsOf(bob)).toEqual([`in ${channel}`])
      bob.wire.socket.destroy()
    }
  })

  it("continues the numbers of a channel", async () => {
    const relay = await restart(isShared)
    const bob = await relay.enterAs(keys.bob, "bob", "#plain")
    const eve = await relay.enterAs(keys.eve, "eve")
    const joined = (await eve.wire.ask({ type: "JOIN", channel: "#plain" })) as ServerMessage<"JOINED">
    const answer = await bob.wire.ask({ type: "MSG", to: "#plain", content: "next" })
    expect((answer as ServerMessage<"ACK">).seq).toBeGreaterThan(joined.seq)
  })

  it("keeps a private channel private, its name reserved and its invitations open", async () => {
    const relay = await restart(isShared)
    const eve = await relay.enterAs(keys.eve, "eve")
    expect(await eve.wire.ask({ type: "JOIN", channel: "#private" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
    const create = { type: "CREATE_CHANNEL", channel: "#private" }
    expect(await eve.wire.ask(create)).toMatchObject({ code: "CHANNEL_EXISTS" })
    const ann = await relay.enterAs(keys.ann, "ann", "#private")
    await relay.enterAs(keys.bob, "bob", "#private")
    await ann.wire.ask({ type: "LEAVE", channel: "#private" })
    expect(await eve.wire.ask(create)).toMatchObject({ code: "CHANNEL_EXISTS" })
  })
})
