import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const hourMs = 3_600_000

async function say(agent: TestAgent, to: string, ...contents: readonly string[]) {
  for (const content of contents) await agent.wire.ask({ type: "MSG", to, content })
}

async function contentsOf(agent: TestAgent): Promise<string[]> {
  const messages = await agent.wire.settle()
  return messages.filter((message) => message.type === "MSG").map(({ content }) => content)
}

describe("JOIN", () => {
  it("answers with the members", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve", "#general")
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "JOIN", channel: "#general" })).toEqual({
      type: "JOINED",
      re: expect.any(String),
      channel: "#general",
      agents: [eve.id, bob.id],
      roster: [
        { id: eve.id, name: "eve", status: "idle", since: relay.clock.now(), seen_ts: relay.clock.now() },
        { id: bob.id, name: "bob", status: "idle", since: relay.clock.now(), seen_ts: relay.clock.now() },
      ],
      count: 2,
      seq: 0,
      invite_only: false,
    })
  })

  it("replays the newest messages, marked and in order", async () => {
    const relay = await TestRelay.start({ limits: { bufferSize: 3 } })
    const eve = await relay.enter("eve", "#general")
    await say(eve, "#general", "1", "2", "3", "4", "5")
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "JOIN", channel: "#general" })).toMatchObject({ seq: 5 })
    const replayed = (await bob.wire.settle()) as ServerMessage<"MSG">[]
    expect(replayed.map(({ content, seq, replay }) => [content, seq, replay])).toEqual([
      ["3", 3, true],
      ["4", 4, true],
      ["5", 5, true],
    ])
  })

  it("resumes after the number in `since`", async () => {
    const relay = await TestRelay.start({ limits: { bufferSize: 1 } })
    const eve = await relay.enter("eve", "#general")
    await say(eve, "#general", "1", "2", "3", "4")
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "JOIN", channel: "#general", since: 1 })
    expect(await contentsOf(bob)).toEqual(["2", "3", "4"])
    await bob.wire.ask({ type: "JOIN", channel: "#general", since: 4 })
    expect(await contentsOf(bob)).toEqual([])
    await bob.wire.ask({ type: "JOIN", channel: "#general", since: 99 })
    expect(await contentsOf(bob)).toEqual([])
  })

  it("does not replay an agent's own messages", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const bob = await relay.enterAs(keyPair, "bob", "#general")
    await say(bob, "#general", "mine")
    await say(await relay.enter("eve"), "#general", "hers")
    const again = await relay.enterAs(keyPair, "bob-2")
    await again.wire.ask({ type: "JOIN", channel: "#general", since: 0 })
    expect(await contentsOf(again)).toEqual(["hers"])
  })

  it("lists at most 50 entries and 1,000 ids, and counts all members", async () => {
    const relay = await TestRelay.start()
    await Promise.all(Array.from({ length: 60 }, (_, i) => relay.enter(`agent-${i}`, "#general")))
    const { wire } = await relay.enter("last")
    const joined = (await wire.ask({ type: "JOIN", channel: "#general" })) as ServerMessage<"JOINED">
    expect([joined.agents.length, joined.roster.length, joined.count]).toEqual([61, 50, 61])
  })

  it("answers CHANNEL_NOT_FOUND with similar names for an unknown channel", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    expect(await wire.ask({ type: "JOIN", channel: "#genral" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
      candidates: ["#general"],
    })
    expect(await wire.ask({ type: "JOIN", channel: "#nothing-like-it" })).not.toHaveProperty("candidates")
  })
})

describe("LEAVE", () => {
  it("stops messages of the channel", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    expect(await bob.wire.ask({ type: "LEAVE", channel: "#general" })).toMatchObject({
      type: "LEFT",
      channel: "#general",
    })
    await say(eve, "#general", "x")
    expect(await contentsOf(bob)).toEqual([])
  })

  it("is refused for a channel that was not joined", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    expect(await wire.ask({ type: "LEAVE", channel: "#general" })).toMatchObject({ code: "NOT_IN_CHANNEL" })
    expect(await wire.ask({ type: "LEAVE", channel: "#nowhere" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
  })
})

describe("CREATE_CHANNEL", () => {
  it("creates a channel and joins it", async () => {
    const relay = await TestRelay.start()
    const { wire, id } = await relay.enter("bob")
    expect(await wire.ask({ type: "CREATE_CHANNEL", channel: "#new.one" })).toMatchObject({
      type: "JOINED",
      channel: "#new.one",
      agents: [id],
      invite_only: false,
    })
    expect(await wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({
      list: [
        { name: "#agents", agents: 0, invite_only: false },
        { name: "#general", agents: 0, invite_only: false },
        { name: "#new.one", agents: 1, invite_only: false },
        { name: "#skills", agents: 0, invite_only: false },
      ],
    })
  })

  it("is refused for a name in use, and beyond limits.channels", async () => {
    const relay = await TestRelay.start({ limits: { channels: 4 } })
    const { wire } = await relay.enter("bob")
    expect(await wire.ask({ type: "CREATE_CHANNEL", channel: "#general" })).toMatchObject({
      code: "CHANNEL_EXISTS",
    })
    await wire.ask({ type: "CREATE_CHANNEL", channel: "#four" })
    expect(await wire.ask({ type: "CREATE_CHANNEL", channel: "#five" })).toMatchObject({
      code: "LIMIT_REACHED",
      message: "channel: no more channels from one origin, of 4 in all",
    })
  })

  it("makes a channel that lasts until the last member leaves", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#brief" })
    const eve = await relay.enter("eve", "#brief")
    await bob.wire.ask({ type: "LEAVE", channel: "#brief" })
    expect(await bob.wire.ask({ type: "MSG", to: "#brief", content: "x" })).toMatchObject({ type: "ACK" })
    await eve.wire.ask({ type: "LEAVE", channel: "#brief" })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#brief" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
  })

  it("says that the channel ends with a relay in memory", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    expect(await wire.ask({ type: "CREATE_CHANNEL", channel: "#new" })).toMatchObject({ in_memory: true })
    expect(await wire.ask({ type: "JOIN", channel: "#new" })).not.toHaveProperty("in_memory")
  })

  it("makes room by removing the open channel that has been empty the longest, after an hour", async () => {
    const relay = await TestRelay.start({ limits: { channels: 12 } })
    const passing = await relay.enter("passing")
    await passing.wire.ask({ type: "CREATE_CHANNEL", channel: "#private", invite_only: true })
    await passing.wire.ask({ type: "CREATE_CHANNEL", channel: "#four" })
    passing.wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(1)
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#five" })
    const six = { type: "CREATE_CHANNEL", channel: "#six" }
    expect(await bob.wire.ask(six)).toMatchObject({ code: "LIMIT_REACHED" })
    relay.clock.advance(2 * hourMs)
    expect(await bob.wire.ask(six)).toMatchObject({ type: "JOINED" })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#four" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#private" })).toMatchObject({
      code: "CHANNEL_EXISTS",
    })
  })

  it("keeps a channel for 7 days after its last member lost its connection", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const bob = await relay.enterAs(keyPair, "bob")
    const eve = await relay.enter("eve")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#mine", invite_only: true })
    await say(bob, "#mine", "1")
    await relay.enterAs(keyPair, "bob", "#mine")
    expect(await bob.wire.ended()).toMatchObject({ code: 4001 })
    relay.clock.advance(7 * 24 * hourMs)
    const again = await relay.enterAs(keyPair, "bob", "#mine")
    again.wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(3)
    relay.clock.advance(7 * 24 * hourMs)
    expect(await eve.wire.ask({ type: "CREATE_CHANNEL", channel: "#mine" })).toMatchObject({
      code: "CHANNEL_EXISTS",
    })
    relay.clock.advance(hourMs)
    expect(await eve.wire.ask({ type: "CREATE_CHANNEL", channel: "#mine" })).toMatchObject({ type: "JOINED" })
  })

  it("keeps a channel that its last connected member leaves while another is disconnected or invited", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const bob = await relay.enter("bob")
    const away = await relay.enterAs(keyPair, "away")
    for (const [channel, invite_only] of [
      ["#open", false],
      ["#private", true],
    ] as const) {
      await bob.wire.ask({ type: "CREATE_CHANNEL", channel, invite_only })
    }
    await away.wire.ask({ type: "JOIN", channel: "#open" })
    away.wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(1)
    await bob.wire.ask({ type: "INVITE", channel: "#private", agent: away.id })
    for (const channel of ["#open", "#private"]) await bob.wire.ask({ type: "LEAVE", channel })
    await relay.enterAs(keyPair, "away", "#open", "#private")
  })

  it("continues the numbers of an earlier channel, so that no bookmark points past its end", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#brief" })
    await say(bob, "#brief", "1", "2", "3")
    await bob.wire.ask({ type: "LEAVE", channel: "#brief" })
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#brief" })).toMatchObject({ seq: 3 })
    expect(await bob.wire.ask({ type: "MSG", to: "#brief", content: "x" })).toMatchObject({ seq: 4 })
    const eve = await relay.enter("eve")
    await eve.wire.ask({ type: "JOIN", channel: "#brief", since: 3 })
    expect(await contentsOf(eve)).toEqual(["x"])
  })
})

describe("an invite-only channel", () => {
  async function secret() {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#secret", invite_only: true })
    return { relay, bob, eve }
  }

  it("does not exist for agents that are not invited", async () => {
    const { eve } = await secret()
    const there = "there is no #secret here"
    for (const frame of [
      { type: "JOIN", channel: "#secret" },
      { type: "LEAVE", channel: "#secret" },
      { type: "MSG", to: "#secret", content: "x" },
      { type: "LIST_AGENTS", channel: "#secret" },
      { type: "INVITE", channel: "#secret", agent: eve.id },
    ]) {
      const answer = await eve.wire.ask(frame)
      expect(answer).toMatchObject({ code: "CHANNEL_NOT_FOUND", message: `channel: ${there}` })
    }
    expect(await eve.wire.ask({ type: "JOIN", channel: "#secre" })).not.toHaveProperty("candidates")
    const { list } = (await eve.wire.ask({ type: "LIST_CHANNELS" })) as ServerMessage<"CHANNELS">
    expect(list.map(({ name }) => name)).not.toContain("#secret")
  })

  it("admits agents that a member invites by id or name, and sends them INVITE", async () => {
    const { bob, eve } = await secret()
    expect(await bob.wire.ask({ type: "INVITE", channel: "#secret", agent: "@eve" })).toMatchObject({
      type: "ACK",
      state: "done",
    })
    expect(await eve.wire.next("INVITE")).toMatchObject({ channel: "#secret", from: bob.id, name: "bob" })
    expect(await eve.wire.ask({ type: "MSG", to: "#secret", content: "x" })).toMatchObject({
      code: "NOT_IN_CHANNEL",
    })
    expect(await eve.wire.ask({ type: "JOIN", channel: "#secret" })).toMatchObject({ invite_only: true })
    await say(bob, "#secret", "hi")
    expect(await contentsOf(eve)).toEqual(["hi"])
  })

  it("admits a key that was invited before its agent connected", async () => {
    const { relay, bob } = await secret()
    const keyPair = generateKeyPair()
    const agent = agentIdOf(keyPair.publicKey)
    expect(await bob.wire.ask({ type: "INVITE", channel: "#secret", agent })).toMatchObject({ type: "ACK" })
    await relay.enterAs(keyPair, "late", "#secret")
  })

  it("rejects an invitation of an unknown agent, or by an agent that is not a member", async () => {
    const { bob, eve } = await secret()
    expect(await bob.wire.ask({ type: "INVITE", channel: "#secret", agent: "@evee" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
      candidates: ["@eve"],
    })
    expect(await eve.wire.ask({ type: "INVITE", channel: "#general", agent: "@bob" })).toMatchObject({
      code: "NOT_IN_CHANNEL",
    })
  })
})

describe("LIST_AGENTS", () => {
  it("lists the agents of the relay, or of one channel", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve")
    expect(await eve.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({
      list: [bob.id, eve.id],
      roster: [{ name: "bob" }, { name: "eve" }],
    })
    expect(await eve.wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({
      channel: "#general",
      list: [bob.id],
    })
    expect(await eve.wire.ask({ type: "LIST_AGENTS", channel: "#nope" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
  })
})
