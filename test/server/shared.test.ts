import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }

/** Starts two relays that share an engine. */
async function twoRelays() {
  const engine = await LastingEngine.make({ isShared: true })
  const [east, west] = [
    await TestRelay.start({ backbone: engine.lend() }),
    await TestRelay.start({ backbone: engine.lend() }),
  ]
  return { engine, east, west }
}

async function post({ wire }: TestAgent, to: string, ...contents: readonly string[]): Promise<void> {
  for (const content of contents)
    expect(await wire.ask({ type: "MSG", to, content })).toMatchObject({ type: "ACK" })
}

/** Lets delayed writes of the rosters happen. */
async function spread(...relays: readonly TestRelay[]): Promise<void> {
  for (let round = 0; round < 2; round++) {
    for (const { clock } of relays) clock.advance(200)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function heard({ wire }: TestAgent): Promise<ServerMessage<"MSG">[]> {
  const messages = await wire.settle()
  return messages.filter((message): message is ServerMessage<"MSG"> => message.type === "MSG")
}

const contentsOf = (messages: readonly ServerMessage<"MSG">[]) => messages.map(({ content }) => content)

describe("two relays that share a store", () => {
  it("have one server id and one channel, and deliver each message once", async () => {
    const { east, west } = await twoRelays()
    expect(east.relay.serverId).toBe(west.relay.serverId)
    const ann = await east.enterAs(keys.ann, "ann", "#general")
    const bob = await west.enterAs(keys.bob, "bob", "#general")
    const eve = await west.enterAs(keys.eve, "eve", "#general")
    await post(ann, "#general", "1")
    await post(bob, "#general", "2")
    expect(contentsOf(await heard(ann))).toEqual(["2"])
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    expect(contentsOf(await heard(eve))).toEqual(["1", "2"])
  })

  it("replay the messages of the other relay to a new member", async () => {
    const { east, west } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann", "#general")
    await post(ann, "#general", "1", "2")
    const bob = await west.enter("bob", "#general")
    expect((await heard(bob)).map(({ content, replay }) => [content, replay])).toEqual([
      ["1", true],
      ["2", true],
    ])
  })

  it("share channels, invitations and settings", async () => {
    const { east, west } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#p", invite_only: true, description: "ours" })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#p" })).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#p" })).toMatchObject({
      code: "CHANNEL_EXISTS",
    })
    await ann.wire.ask({ type: "INVITE", channel: "#p", agent: bob.id })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#p" })).toMatchObject({
      settings: { description: "ours" },
    })
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#p", description: "mine" })
    expect(await bob.wire.next("CHANNEL_CHANGED")).toMatchObject({ settings: { description: "mine" } })
  })

  it("deliver direct messages, and report each delivery status to their author", async () => {
    const { east, west } = await twoRelays()
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    await spread(east, west)
    const ack = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "1" })) as ServerMessage<"ACK">
    expect(ack).toMatchObject({ to: bob.id })
    const message = await bob.wire.next("MSG")
    expect(message.content).toBe("1")
    bob.wire.say({ type: "RECEIVED", ids: [message.msg_id], retrieved: [message.msg_id] })
    expect(await ann.wire.next("DELIVERY")).toMatchObject({
      msg_id: ack.msg_id,
      state: "mirrored",
      by: bob.id,
    })
    expect(await ann.wire.next("DELIVERY")).toMatchObject({
      msg_id: ack.msg_id,
      state: "retrieved",
      by: bob.id,
    })
  })

  it("keep the mail of a disconnected agent for whichever relay it reconnects to", async () => {
    const { east, west } = await twoRelays()
    const bob = await west.enterAs(keys.bob, "bob")
    bob.wire.socket.destroy()
    await until("the relay notices", () => west.log.some((line) => line.startsWith("left: ")))
    await spread(east, west)
    const ann = await east.enterAs(keys.ann, "ann")
    await post(ann, bob.id, "1", "2")
    const again = await east.enterAs(keys.bob, "bob")
    const letters = await heard(again)
    expect(contentsOf(letters)).toEqual(["1", "2"])
    again.wire.say({ type: "RECEIVED", ids: letters.map(({ msg_id }) => msg_id) })
    await again.wire.settle()
    again.wire.socket.destroy()
    expect(await heard(await west.enterAs(keys.bob, "bob"))).toEqual([])
  })

  it("take over an identity from each other", async () => {
    const { east, west } = await twoRelays()
    const old = await east.enterAs(keys.ann, "ann", "#general")
    await spread(east, west)
    const young = await west.enterAs(keys.ann, "ann", "#general")
    await spread(east, west)
    await old.wire.ended()
    expect(old.wire.closing?.code).toBe(4001)
    const bob = await east.enterAs(keys.bob, "bob")
    await spread(east, west)
    await post(bob, young.id, "1")
    expect(contentsOf(await heard(young))).toEqual(["1"])
  })

  it("know each other's agents, and report who joins and leaves", async () => {
    const { east, west } = await twoRelays()
    const bob = await west.enterAs(keys.bob, "bob", "#general")
    const ann = await east.enterAs(keys.ann, "ann", "#general")
    await spread(east, west)
    expect(await bob.wire.next("AGENT_JOINED")).toMatchObject({ agent: ann.id })
    const listed = (await bob.wire.ask({ type: "LIST_AGENTS" })) as ServerMessage<"AGENTS">
    expect(listed.list).toEqual(expect.arrayContaining([ann.id, bob.id]))
    expect(await bob.wire.ask({ type: "MSG", to: "@ann", content: "hi" })).toMatchObject({ to: ann.id })
    ann.wire.say({ type: "SET_PRESENCE", status: "working", activity: "tests" })
    await ann.wire.settle()
    await spread(east, west)
    expect(await bob.wire.next("PRESENCE_CHANGED")).toMatchObject({ agent: ann.id, status: "working" })
    ann.wire.socket.destroy()
    await until("the relay notices", () => east.log.some((line) => line.startsWith("left: ")))
    await spread(east, west)
    expect(await bob.wire.next("AGENT_LEFT")).toMatchObject({ agent: ann.id })
  })
})
