import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }

/** Enters without waiting for more than JOINED. */
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

/** A relay with a durable channel #d that ann made. */
async function durableRoom(engine?: LastingEngine) {
  const lasting = engine ?? (await LastingEngine.make())
  const house = await TestRelay.start({ backbone: lasting.lend() })
  const ann = await house.enterAs(keys.ann, "ann")
  const made = await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#d", durable: true })
  return { lasting, house, ann, made }
}

describe("a durable channel", () => {
  it("cannot be had where everything is in memory", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann")
    expect(await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#d", durable: true })).toMatchObject({
      code: "UNSUPPORTED",
      hint: expect.stringContaining("--data"),
    })
  })

  it("row 7: gives each member but the author one copy, in order, and nobody else any", async () => {
    const { house, ann, made } = await durableRoom()
    expect(made).toMatchObject({ type: "JOINED", durable: true })
    const bob = await house.enterAs(keys.bob, "bob", "#d")
    const eve = await house.enterAs(keys.eve, "eve")
    await post(ann, "#d", "1", "2", "3")
    const got = await heard(bob)
    expect(contentsOf(got)).toEqual(["1", "2", "3"])
    expect(got.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(got.every((message) => message.replay === undefined)).toBe(true)
    expect(await heard(ann)).toEqual([])
    expect(await heard(eve)).toEqual([])
  })

  it("row 33: gives a member that was away exactly what it missed, and nobody anything twice", async () => {
    const { house, ann } = await durableRoom()
    const bob = await house.enterAs(keys.bob, "bob", "#d")
    const eve = await house.enterAs(keys.eve, "eve", "#d")
    await post(ann, "#d", "0")
    const [first] = await heard(bob)
    bob.wire.say({ type: "RECEIVED", up_to: { "#d": first?.seq } })
    await bob.wire.settle()
    bob.wire.socket.destroy()
    await post(ann, "#d", "1", "2", "3")
    expect(contentsOf(await heard(eve))).toEqual(["0", "1", "2", "3"])
    const again = await house.enterAs(keys.bob, "bob")
    await join(again, "#d")
    const missed = await heard(again)
    expect(contentsOf(missed)).toEqual(["1", "2", "3"])
    expect(missed.every((message) => message.replay === undefined)).toBe(true)
    expect(await heard(eve)).toEqual([])
  })

  it("goes on after the member's own bookmark when that is further", async () => {
    const { house, ann } = await durableRoom()
    const bob = await house.enterAs(keys.bob, "bob", "#d")
    await post(ann, "#d", "1", "2", "3")
    expect(await heard(bob)).toHaveLength(3)
    bob.wire.socket.destroy()
    const again = await house.enterAs(keys.bob, "bob")
    await join(again, "#d", 2)
    expect(contentsOf(await heard(again))).toEqual(["3"])
  })

  it("row 35: owes nothing to somebody who left for what was said while it was out", async () => {
    const { house, ann } = await durableRoom()
    const settings = { type: "SET_CHANNEL", channel: "#d", replay: false }
    expect(await ann.wire.ask(settings)).toMatchObject({ type: "ACK" })
    const bob = await house.enterAs(keys.bob, "bob", "#d")
    await post(ann, "#d", "1")
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#d" })).toMatchObject({ type: "LEFT" })
    await post(ann, "#d", "gap")
    await join(bob, "#d", 1)
    await post(ann, "#d", "2")
    expect(contentsOf(await heard(bob))).toEqual(["2"])
  })

  it("row 73: keeps what it took, who is in it and what it is over a restart of the relay", async () => {
    const { lasting, house, ann } = await durableRoom()
    const bob = await house.enterAs(keys.bob, "bob", "#d")
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#d", description: "plans" })
    bob.wire.socket.destroy()
    await post(ann, "#d", "1", "2")
    await house.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    expect(reborn.relay.serverId).toBe(house.relay.serverId)
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

  it("row 21: takes a message once, however often its id is sent, also over a restart", async () => {
    const { lasting, house, ann } = await durableRoom()
    const frame = { type: "MSG", id: "once", to: "#d", content: "1" }
    ann.wire.say(frame, frame)
    const acks = (await ann.wire.settle()) as ServerMessage<"ACK">[]
    expect(acks.map(({ seq, duplicate }) => [seq, duplicate])).toEqual([
      [1, undefined],
      [1, true],
    ])
    await house.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    const back = await reborn.enterAs(keys.ann, "ann", "#d")
    const bob = await reborn.enterAs(keys.bob, "bob", "#d")
    back.wire.say(frame)
    expect(await back.wire.next("ACK")).toMatchObject({ seq: 1, duplicate: true })
    expect((await heard(bob)).filter((message) => message.replay !== true)).toEqual([])
  })

  it("row 30: shows a newcomer what was said last, marked, then what is said from now on, each once", async () => {
    const { house, ann } = await durableRoom()
    await post(ann, "#d", "1", "2", "3", "4", "5")
    const bob = await house.enterAs(keys.bob, "bob")
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
    "row 31: shows a newcomer of %s nothing, or only what is recent, as it is told to",
    async (channel) => {
      const { house, ann } = await durableRoom()
      await join(ann, channel)
      await post(ann, channel, "old")
      house.clock.advance(10_000)
      await post(ann, channel, "new")
      await ann.wire.ask({ type: "SET_CHANNEL", channel, window: "5s" })
      const bob = await house.enterAs(keys.bob, "bob", channel)
      const told = contentsOf(await heard(bob))
      // The engine's clock stands still: what it keeps is as old as it says.
      expect(told).toEqual(channel === "#d" ? [] : ["new"])
      await ann.wire.ask({ type: "SET_CHANNEL", channel, replay: false, window: "" })
      const eve = await house.enterAs(keys.eve, "eve", channel)
      expect(await heard(eve)).toEqual([])
    },
  )

  it("row 32: drops the oldest beyond its bound, and touches no other channel", async () => {
    const lasting = await LastingEngine.make()
    const house = await TestRelay.start({
      backbone: lasting.lend(),
      limits: { durableMessages: 100, bufferSize: 500 },
    })
    const ann = await house.enterAs(keys.ann, "ann")
    for (const channel of ["#d", "#e"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel, durable: true })
    await post(ann, "#e", "kept")
    for (let i = 0; i <= 100; i++) ann.wire.say({ type: "MSG", to: "#d", content: `${i}` })
    await ann.wire.settle()
    const bob = await house.enterAs(keys.bob, "bob")
    await join(bob, "#d")
    const kept = contentsOf(await heard(bob))
    expect(kept).toHaveLength(100)
    expect([kept[0], kept.at(-1)]).toEqual(["1", "100"])
    await join(bob, "#e")
    expect(contentsOf(await heard(bob))).toEqual(["kept"])
  })

  it("invites for good", async () => {
    const lasting = await LastingEngine.make()
    const house = await TestRelay.start({ backbone: lasting.lend() })
    const ann = await house.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#p", durable: true, invite_only: true })
    const bob = await house.enterAs(keys.bob, "bob")
    expect(await join(bob, "#p")).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    await ann.wire.ask({ type: "INVITE", channel: "#p", agent: bob.id })
    await house.stop()
    const reborn = await TestRelay.start({ backbone: lasting.lend() })
    const again = await reborn.enterAs(keys.bob, "bob")
    expect(await join(again, "#p")).toMatchObject({ type: "JOINED", invite_only: true })
    const eve = await reborn.enterAs(keys.eve, "eve")
    expect(await join(eve, "#p")).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
  })

  it("shows what was missed once its store can be reached again", async () => {
    const { lasting, house: first, ann } = await durableRoom()
    await post(ann, "#d", "1")
    await first.stop()
    const lent = lasting.lend()
    const house = await TestRelay.start({ backbone: lent })
    const bob = await house.enterAs(keys.bob, "bob")
    lent.setReachable(false)
    expect(await join(bob, "#d")).toMatchObject({ code: "UNAVAILABLE" })
    expect(await bob.wire.ask({ type: "MSG", to: "#d", content: "x" })).toMatchObject({ code: "UNAVAILABLE" })
    lent.setReachable(true)
    expect(await join(bob, "#d")).toMatchObject({ type: "JOINED" })
    expect(contentsOf(await heard(bob))).toEqual(["1"])
  })

  it("keeps the order of what somebody says while somebody joins", async () => {
    const { house, ann } = await durableRoom()
    for (let round = 0; round < 5; round++) {
      const bob = await house.enterAs(generateKeyPair(), `bob${round}`)
      const contents = Array.from({ length: 50 }, (_, i) => `${round}-${i}`)
      for (const content of contents.slice(0, 25)) ann.wire.say({ type: "MSG", to: "#d", content })
      bob.wire.say({ type: "JOIN", channel: "#d" })
      for (const content of contents.slice(25)) ann.wire.say({ type: "MSG", to: "#d", content })
      await ann.wire.settle()
      await bob.wire.next("JOINED")
      const got = contentsOf(await heard(bob)).filter((content) => content.startsWith(`${round}-`))
      expect(got).toEqual(contents.slice(contents.length - got.length))
      expect(got.length).toBeGreaterThanOrEqual(25)
    }
  })
})

describe("the directory of channels", () => {
  it("row 36: keeps what is not changed, and refuses what is too long or no length of time", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann", "#general")
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

  it("row 37: tells the members of a change at once", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann", "#general")
    const bob = await house.enter("bob", "#general")
    await ann.wire.ask({ type: "SET_CHANNEL", channel: "#general", description: "plans" })
    expect(await bob.wire.next("CHANNEL_CHANGED")).toMatchObject({
      channel: "#general",
      by: ann.id,
      settings: { description: "plans" },
    })
    expect(await join(await house.enter("eve"), "#general")).toMatchObject({
      settings: { description: "plans" },
    })
  })

  it("is changed only by members that proved a key", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann")
    const frame = { type: "SET_CHANNEL", channel: "#general", description: "mine" }
    expect(await ann.wire.ask(frame)).toMatchObject({ code: "NOT_IN_CHANNEL" })
    const bob = await house.enter("bob", "#general")
    expect(await bob.wire.ask(frame)).toMatchObject({ code: "IDENTITY_REQUIRED" })
  })
})

describe("a pattern", () => {
  it("row 28: brings every channel that fits, now and later, and no other", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann")
    for (const channel of ["#team", "#team.backend"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel })
    const [deep, wide, plain] = [
      await house.enter("deep"),
      await house.enter("wide"),
      await house.enter("plain"),
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

  it("brings no channel one is not invited to, and takes with it what it alone brought", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#team.open" })
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#team.closed", invite_only: true })
    const bob = await house.enter("bob")
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

  it("takes nothing with it that was asked for by name", async () => {
    const house = await TestRelay.start()
    const ann = await house.enterAs(keys.ann, "ann")
    for (const channel of ["#team.a", "#team.b"]) await ann.wire.ask({ type: "CREATE_CHANNEL", channel })
    const bob = await house.enter("bob", "#team.a")
    await join(bob, "#team.*")
    await bob.wire.ask({ type: "LEAVE", channel: "#team.*" })
    for (const channel of ["#team.a", "#team.b"]) await post(ann, channel, channel)
    expect(contentsOf(await heard(bob))).toEqual(["#team.a"])
  })

  it("row 29: is no reason to be in a channel twice", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    await join(bob, "#general")
    const ann = await house.enter("ann")
    await post(ann, "#general", "1")
    expect(contentsOf(await heard(bob))).toEqual(["1"])
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#general" })).toMatchObject({ type: "LEFT" })
    await post(ann, "#general", "2")
    expect(await heard(bob)).toEqual([])
  })
})
