import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }
/** Ann is the operator. */
const operators = [formatDidKey(keys.ann.publicKey)]

/** Joins, and waits only for JOINED. */
async function join({ wire }: TestAgent, channel: string, since?: number): Promise<ServerMessage> {
  return wire.ask({ type: "JOIN", channel, ...(since === undefined ? {} : { since }) })
}

async function post({ wire }: TestAgent, to: string, ...contents: readonly string[]): Promise<void> {
  for (const content of contents)
    expect(await wire.ask({ type: "MSG", to, content })).toMatchObject({ type: "ACK" })
}

async function heard({ wire }: TestAgent): Promise<ServerMessage<"MSG">[]> {
  const messages = await wire.settle()
  return messages.filter((message): message is ServerMessage<"MSG"> => message.type === "MSG")
}

const contentsOf = (messages: readonly ServerMessage<"MSG">[]) => messages.map(({ content }) => content)

/** A relay with a durable channel #d that ann created. */
async function durableRoom(engine?: LastingEngine) {
  const lasting = engine ?? (await LastingEngine.make())
  const relay = await TestRelay.start({ backbone: lasting.lend(), operators })
  const ann = await relay.enterAs(keys.ann, "ann")
  const made = await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#d", durable: true })
  return { lasting, relay, ann, made }
}

describe("a durable channel", () => {
  it("is unsupported by a relay that keeps everything in memory", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    expect(await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#d", durable: true })).toMatchObject({
      code: "UNSUPPORTED",
      hint: expect.stringContaining("--data"),
    })
  })

  it("sends each member but the author one copy, in order, and nobody else any", async () => {
    const { relay, ann, made } = await durableRoom()
    expect(made).toMatchObject({ type: "JOINED", durable: true })
    const bob = await relay.enterAs(keys.bob, "bob", "#d")
    const eve = await relay.enterAs(keys.eve, "eve")
    await post(ann, "#d", "1", "2", "3")
    const got = await heard(bob)
    expect(contentsOf(got)).toEqual(["1", "2", "3"])
    expect(got.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(got.every((message) => message.replay === undefined)).toBe(true)
    expect(await heard(ann)).toEqual([])
    expect(await heard(eve)).toEqual([])
  })

  it("sends a member that was away exactly what it missed, and nobody anything twice", async () => {
    const { relay, ann } = await durableRoom()
    const bob = await relay.enterAs(keys.bob, "bob", "#d")
    const eve = await relay.enterAs(keys.eve, "eve", "#d")
    await post(ann, "#d", "0")
    const [first] = await heard(bob)
    bob.wire.say({ type: "RECEIVED", up_to: { "#d": first?.seq } })
    await bob.wire.settle()
    bob.wire.socket.destroy()
    await post(ann, "#d", "1", "2", "3")
    expect(contentsOf(await heard(eve))).toEqual(["0", "1", "2", "3"])
    const again = await relay.enterAs(keys.bob, "bob")
    await join(again, "#d")
    const missed = await heard(again)
    expect(contentsOf(missed)).toEqual(["1", "2", "3"])
    expect(missed.every((message) => message.replay === undefined)).toBe(true)
    expect(await heard(eve)).toEqual([])
  })

  it("resumes after the client's own number if that is higher", async () => {
    const { relay, ann } = await durableRoom()
    const bob = await relay.enterAs(keys.bob, "bob", "#d")
    await post(ann, "#d", "1", "2", "3")
    expect(await heard(bob)).toHaveLength(3)
    bob.wire.socket.destroy()
    const again = await relay.enterAs(keys.bob, "bob")
    await join(again, "#d", 2)
    expect(contentsOf(await heard(again))).toEqual(["3"])
  })

  it("does not send what was said while an agent was not a member", async () => {
    const { relay, ann } = await durableRoom()
    const settings = { type: "SET_CHANNEL", channel: "#d", replay: false }
    expect(await ann.wire.ask(settings)).toMatchObject({ type: "ACK" })
    const bob = await relay.enterAs(keys.bob, "bob", "#d")
    await post(ann, "#d", "1")
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#d" })).toMatchObject({ type: "LEFT" })
    await post(ann, "#d", "gap")
    await join(bob, "#d", 1)
    await post(ann, "#d", "2")
    expect(contentsOf(await heard(bob))).toEqual(["2"])
  })

  it("keeps messages, members and settings over a restart of the relay", async () => {
    const { lasting, relay, ann } = await durableRoom()
    const bob = await relay.enterAs(keys.bob, "bob", "#d")
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#d", description: "plans" })
    bob.wire.socket.destroy()
    await post(ann, "#d", "1", "2")
    await relay.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    expect(reborn.relay.serverId).toBe(relay.relay.serverId)
    const again = await reborn.enterAs(keys.bob, "bob")
    expect(await join(again, "#d")).toMatchObject({
      durable: true,
      seq: 2,
      settings: { description: "plans" },
    })
    expect(contentsOf(await heard(again))).toEqual(["1", "2"])
    const back = await reborn.enterAs(keys.ann, "ann", "#d")
    await post(back, "#d", "3")
    expect((await heard(again)).map(({ content, seq }) => [content, seq])).toEqual([["3", 3]])
  })

  it("takes a message once, however often its id is sent, also over a restart", async () => {
    const { lasting, relay, ann } = await durableRoom()
    const frame = { type: "MSG", id: "once", to: "#d", content: "1" }
    ann.wire.say(frame, frame)
    const acks = (await ann.wire.settle()) as ServerMessage<"ACK">[]
    expect(acks.map(({ seq, duplicate }) => [seq, duplicate])).toEqual([
      [1, undefined],
      [1, true],
    ])
    await relay.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    const back = await reborn.enterAs(keys.ann, "ann", "#d")
    const bob = await reborn.enterAs(keys.bob, "bob", "#d")
    back.wire.say(frame)
    expect(await back.wire.next("ACK")).toMatchObject({ seq: 1, duplicate: true })
    expect((await heard(bob)).filter((message) => message.replay !== true)).toEqual([])
  })

  it("refuses another message of the same id, also over a restart and after it was delivered", async () => {
    const { lasting, relay, ann } = await durableRoom()
    const bob = await relay.enterAs(keys.bob, "bob")
    const frames = ["#d", bob.id, "+coder"].map((to, i) => ({ type: "MSG", id: `m${i}`, to, content: "1" }))
    ann.wire.say(...frames, ...frames.map((frame) => ({ ...frame, content: "2" })))
    const codes = async (agent: typeof ann) =>
      (await agent.wire.settle()).flatMap((answer) =>
        answer.type === "ERROR" ? answer.code : answer.type === "ACK" ? (answer.duplicate ?? "new") : [],
      )
    expect((await codes(ann)).sort()).toEqual(["ID_USED", "ID_USED", "ID_USED", "new", "new", "new"])
    const mail = await bob.wire.next("MSG")
    bob.wire.say({ type: "RECEIVED", ids: [mail.msg_id] })
    await bob.wire.settle()
    await relay.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    const back = await reborn.enterAs(keys.ann, "ann", "#d")
    back.wire.say(...frames.map((frame) => ({ ...frame, content: "2" })))
    expect(await codes(back)).toEqual(["ID_USED", "ID_USED", "ID_USED"])
  })

  it("replays the newest messages to a newcomer, then sends new ones, each once", async () => {
    const { relay, ann } = await durableRoom()
    await post(ann, "#d", "1", "2", "3", "4", "5")
    const bob = await relay.enterAs(keys.bob, "bob")
    ann.wire.say(...["6", "7", "8"].map((content) => ({ type: "MSG", to: "#d", content })))
    await join(bob, "#d")
    await ann.wire.settle()
    await post(ann, "#d", "9")
    const got = await heard(bob)
    expect(contentsOf(got)).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9"])
    expect(got.slice(0, 5).every(({ replay }) => replay === true)).toBe(true)
    expect(got.at(-1)?.replay).toBeUndefined()
  })

  it.each(["#d", "#general"])(
    "replays nothing, or only recent messages, to a newcomer of %s if its settings say so",
    async (channel) => {
      const { relay, ann } = await durableRoom()
      await join(ann, channel)
      await post(ann, channel, "old")
      relay.clock.advance(10_000)
      await post(ann, channel, "new")
      await ann.wire.ask({ type: "SET_CHANNEL", channel, window: "5s" })
      const bob = await relay.enterAs(keys.bob, "bob", channel)
      const received = contentsOf(await heard(bob))
      // The clock of the engine does not advance, so messages keep their age.
      expect(received).toEqual([])
      await ann.wire.ask({ type: "SET_CHANNEL", channel, replay: false, window: "" })
      const eve = await relay.enterAs(keys.eve, "eve", channel)
      expect(await heard(eve)).toEqual([])
    },
  )

  it("drops its own oldest messages beyond limits.durableMessages", async () => {
    const lasting = await LastingEngine.make()
    const relay = await TestRelay.start({
      backbone: lasting.lend(),
      limits: { durableMessages: 100, bufferSize: 500 },
    })
    const ann = await relay.enterAs(keys.ann, "ann")
    for (const channel of ["#d", "#e"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel, durable: true })
    await post(ann, "#e", "kept")
    for (let i = 0; i <= 100; i++) ann.wire.say({ type: "MSG", to: "#d", content: `${i}` })
    await ann.wire.settle()
    const bob = await relay.enterAs(keys.bob, "bob")
    await join(bob, "#d")
    const kept = contentsOf(await heard(bob))
    expect(kept).toHaveLength(100)
    expect([kept[0], kept.at(-1)]).toEqual(["1", "100"])
    await join(bob, "#e")
    expect(contentsOf(await heard(bob))).toEqual(["kept"])
  })

  it("remembers invitations", async () => {
    const lasting = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: lasting.lend() })
    const ann = await relay.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#p", durable: true, invite_only: true })
    const bob = await relay.enterAs(keys.bob, "bob")
    expect(await join(bob, "#p")).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    await ann.wire.ask({ type: "INVITE", channel: "#p", agent: bob.id })
    await relay.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    const again = await reborn.enterAs(keys.bob, "bob")
    expect(await join(again, "#p")).toMatchObject({ type: "JOINED", invite_only: true })
    const eve = await reborn.enterAs(keys.eve, "eve")
    expect(await join(eve, "#p")).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
  })

  it("sends what was missed when its store is reachable again", async () => {
    const { lasting, relay: first, ann } = await durableRoom()
    await post(ann, "#d", "1")
    await first.stop()
    const lent = lasting.lend()
    const relay = await TestRelay.start({ backbone: lent })
    const bob = await relay.enterAs(keys.bob, "bob")
    lent.setReachable(false)
    expect(await join(bob, "#d")).toMatchObject({ code: "UNAVAILABLE" })
    expect(await bob.wire.ask({ type: "MSG", to: "#d", content: "x" })).toMatchObject({ code: "UNAVAILABLE" })
    lent.setReachable(true)
    expect(await join(bob, "#d")).toMatchObject({ type: "JOINED" })
    expect(contentsOf(await heard(bob))).toEqual(["1"])
  })

  it("keeps the order of messages while an agent joins", async () => {
    const { relay, ann } = await durableRoom()
    for (let round = 0; round < 5; round++) {
      const bob = await relay.enterAs(generateKeyPair(), `bob${round}`)
      const contents = Array.from({ length: 50 }, (_, i) => `${round}-${i}`)
      for (const content of contents.slice(0, 25)) ann.wire.say({ type: "MSG", to: "#d", content })
      bob.wire.say({ type: "JOIN", channel: "#d" })
      for (const content of contents.slice(25)) ann.wire.say({ type: "MSG", to: "#d", content })
      await ann.wire.settle()
      await bob.wire.next("JOINED")
      const got = contentsOf(await heard(bob)).filter((content) => content.startsWith(`${round}-`))
      expect(got).toEqual(contents.slice(contents.length - got.length))
      // On a busy machine the JOIN comes after all messages; then the newest 20 are replayed.
      expect(got.length).toBeGreaterThanOrEqual(20)
    }
  })
})

describe("SET_CHANNEL", () => {
  it("keeps absent fields, and rejects text that is too long and invalid durations", async () => {
    const relay = await TestRelay.start({ operators })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const set = (change: object) => ann.wire.ask({ type: "SET_CHANNEL", channel: "#general", ...change })
    await set({ description: "all of us", instructions: "be brief", window: "24h" })
    await set({ replay: false })
    const settings = { description: "all of us", instructions: "be brief", window: "24h", replay: false }
    const general = async () => {
      const answer = (await ann.wire.ask({ type: "LIST_CHANNELS" })) as ServerMessage<"CHANNELS">
      return answer.list.find(({ name }) => name === "#general")?.settings
    }
    expect(await general()).toEqual(settings)
    expect(await set({ description: "x".repeat(201) })).toMatchObject({ code: "INVALID_MSG" })
    expect(await set({ window: "5x" })).toMatchObject({ code: "INVALID_MSG" })
    expect(await general()).toEqual(settings)
    await set({ description: "", window: "" })
    expect(await general()).toEqual({ instructions: "be brief", replay: false })
    expect(await ann.wire.ask({ type: "SET_CHANNEL", channel: "*", replay: false })).toMatchObject({
      type: "ACK",
    })
    expect(await ann.wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({ defaults: { replay: false } })
  })

  it("sends the members CHANNEL_CHANGED at once", async () => {
    const relay = await TestRelay.start({ operators })
    const ann = await relay.enterAs(keys.ann, "ann", "#general")
    const bob = await relay.enter("bob", "#general")
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#general", description: "plans" })
    expect(await bob.wire.next("CHANNEL_CHANGED")).toMatchObject({
      channel: "#general",
      by: ann.id,
      settings: { description: "plans" },
    })
    expect(await join(await relay.enter("eve"), "#general")).toMatchObject({
      settings: { description: "plans" },
    })
  })

  it("is refused for agents without a key and for non-members", async () => {
    const relay = await TestRelay.start({ operators })
    const ann = await relay.enterAs(keys.ann, "ann")
    const frame = { type: "SET_CHANNEL", channel: "#general", description: "mine" }
    expect(await ann.wire.ask(frame)).toMatchObject({ code: "NOT_IN_CHANNEL" })
    const bob = await relay.enter("bob", "#general")
    expect(await bob.wire.ask(frame)).toMatchObject({ code: "IDENTITY_REQUIRED" })
  })
})

describe("a pattern", () => {
  it("joins every matching channel, now and later, and no other", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    for (const channel of ["#team", "#team.backend"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel })
    const [deep, wide, plain] = [
      await relay.enter("deep"),
      await relay.enter("wide"),
      await relay.enter("plain"),
    ]
    expect(await join(deep, "#team.>")).toMatchObject({
      type: "JOINED",
      channel: "#team.>",
      pattern: "#team.>",
    })
    await join(wide, "#team.*")
    await join(plain, "#team")
    expect(await deep.wire.next("JOINED")).toMatchObject({ channel: "#team.backend", pattern: "#team.>" })
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#team.backend.db" })
    expect(await deep.wire.next("JOINED")).toMatchObject({ channel: "#team.backend.db" })
    for (const channel of ["#team", "#team.backend", "#team.backend.db"]) await post(ann, channel, channel)
    expect(contentsOf(await heard(deep))).toEqual(["#team.backend", "#team.backend.db"])
    expect(contentsOf(await heard(wide))).toEqual(["#team.backend"])
    expect(contentsOf(await heard(plain))).toEqual(["#team"])
    expect(await ann.wire.ask({ type: "MSG", to: "#team.>", content: "all" })).toMatchObject({
      code: "INVALID_MSG",
    })
  })

  it("joins no channel without invitation, and leaves those that it alone joined", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#team.open" })
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#team.closed", invite_only: true })
    const bob = await relay.enter("bob")
    await join(bob, "#team.>")
    await join(bob, "#team.*")
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#team.*" })).toMatchObject({ channel: "#team.*" })
    await post(ann, "#team.open", "1")
    await post(ann, "#team.closed", "2")
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    bob.wire.say({ type: "LEAVE", channel: "#team.>" })
    expect(await bob.wire.next("LEFT")).toMatchObject({ channel: "#team.open" })
    await post(ann, "#team.open", "3")
    expect(await heard(bob)).toEqual([])
  })

  it("does not leave channels that were joined by name", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    for (const channel of ["#team.a", "#team.b"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel })
    const bob = await relay.enter("bob", "#team.a")
    await join(bob, "#team.*")
    await bob.wire.ask({ type: "LEAVE", channel: "#team.*" })
    for (const channel of ["#team.a", "#team.b"]) await post(ann, channel, channel)
    expect(contentsOf(await heard(bob))).toEqual(["#team.a"])
  })

  it("does not join a channel twice", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    await join(bob, "#general")
    const ann = await relay.enter("ann")
    await post(ann, "#general", "1")
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#general" })).toMatchObject({ type: "LEFT" })
    await post(ann, "#general", "2")
    expect(await heard(bob)).toEqual([])
  })
})
