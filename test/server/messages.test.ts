import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { enterParty, Signer } from "../kit/deal-room.js"
import { reachableBytes } from "../kit/memory.js"
import { TestRelay } from "../kit/relay.js"

const hostile = 'a\nb\u0000\u001b[31m\u202e\u200b"\\ {"type":"MSG"} é 😀 \u2028'

describe("MSG to a channel", () => {
  it("reaches every member but its author, who gets the ACK", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const ann = await relay.enter("ann", "#general")
    relay.clock.advance(100)
    bob.wire.say({ type: "MSG", to: "#general", content: "hi", id: "m1", from: "@forged", name: "forged" })
    const msg_id = `${bob.id.slice(1)}.m1`
    const ts = relay.clock.now()
    expect(await bob.wire.next("ACK")).toEqual({
      type: "ACK",
      re: "m1",
      msg_id,
      ts,
      state: "accepted",
      recipients: 2,
      seq: 1,
    })
    const message = {
      type: "MSG",
      from: bob.id,
      name: "bob",
      to: "#general",
      content: "hi",
      ts,
      msg_id,
      hops: 0,
      seq: 1,
    }
    expect(await eve.wire.next("MSG")).toEqual(message)
    expect(await ann.wire.next("MSG")).toEqual(message)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("carries any text unchanged", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve", "#general")
    for (const content of [hostile, "x".repeat(100_000), '"', "\u007f"]) {
      await bob.wire.ask({ type: "MSG", to: "#general", content })
      expect((await eve.wire.next("MSG")).content).toBe(content)
    }
  })

  it("carries all known fields, and no others", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve", "#general")
    const extras = { in_reply_to: 'x".1', kind: "inform", mentions: [eve.id], sig: "a..b" }
    const parts = [{ kind: "data", data: { a: [1, null] } }]
    const all = { ...extras, parts, mentions: ["@Eve", eve.id] }
    bob.wire.say({ type: "MSG", to: "#general", content: "hi", ts: 1, other: 1, replay: true, ...all })
    const message = await eve.wire.next("MSG")
    expect(message).toMatchObject({ ...extras, parts })
    expect(message).not.toHaveProperty("other")
    expect(message).not.toHaveProperty("replay")
    expect(message.ts).toBe(relay.clock.now())
  })

  it("may come from an agent that is not a member, and its ACK says so", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve", "#general")
    expect(await bob.wire.ask({ type: "MSG", to: "#general", content: "hi" })).toMatchObject({
      member: false,
      recipients: 1,
    })
    expect(await eve.wire.next("MSG")).toMatchObject({ content: "hi" })
  })

  it("gets an id from the relay if it has none", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    bob.wire.say({ type: "MSG", to: "#general", content: "a" }, { type: "MSG", to: "#general", content: "b" })
    const [first, second] = [await bob.wire.next("ACK"), await bob.wire.next("ACK")]
    expect(first).not.toHaveProperty("re")
    expect(first.msg_id).toMatch(new RegExp(`^${bob.id.slice(1)}\\.~[0-9a-z]+$`))
    expect(second.msg_id).not.toBe(first.msg_id)
  })

  it("is delivered once, however often its id is sent", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const bob = await relay.enterAs(keyPair, "bob")
    const eve = await relay.enter("eve", "#general")
    const frame = { type: "MSG", to: "#general", content: "once", id: "m1" }
    bob.wire.say(frame)
    const first = await bob.wire.next("ACK")
    relay.clock.advance(5_000)
    bob.wire.say(frame)
    expect(await bob.wire.next("ACK")).toEqual({ ...first, duplicate: true })
    const again = await relay.enterAs(keyPair, "bob")
    again.wire.say(frame)
    expect(await again.wire.next("ACK")).toEqual({ ...first, duplicate: true })
    expect(await eve.wire.settle()).toHaveLength(1)
  })

  it("remembers a persistent sender's ids for 15 minutes after it left", async () => {
    const relay = await TestRelay.start()
    const keyPair = generateKeyPair()
    const frame = { type: "MSG", to: "#general", content: "once", id: "m1" }
    const send = async (agent: Awaited<ReturnType<TestRelay["enterAs"]>>) => {
      agent.wire.say(frame)
      const { duplicate } = await agent.wire.next("ACK")
      agent.wire.socket.destroy()
      const lines = relay.log.length
      await expect.poll(() => relay.log.length).toBe(lines + 1)
      return duplicate
    }
    expect(await send(await relay.enterAs(keyPair, "bob"))).toBeUndefined()
    relay.clock.advance(14 * 60_000)
    expect(await send(await relay.enterAs(keyPair, "bob"))).toBe(true)
    relay.clock.advance(16 * 60_000)
    await send(await relay.enterAs(generateKeyPair(), "other"))
    expect(await send(await relay.enterAs(keyPair, "bob"))).toBeUndefined()
  })

  it("is refused if its id is that of another message", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    const eve = await relay.enterAs(generateKeyPair(), "eve", "#general")
    const first = { type: "MSG", to: "#general", content: "one", id: "m1" }
    bob.wire.say(first)
    await bob.wire.next("ACK")
    const others = [
      { content: "two" },
      { to: eve.id },
      { to: "+coder" },
      { parts: [{ kind: "data", data: 1 }] },
      { in_reply_to: "un.known" },
      { kind: "ack" },
      { mentions: ["@eve"] },
    ]
    for (const other of others) {
      bob.wire.say({ ...first, ...other })
      expect(await bob.wire.next("ERROR")).toMatchObject({
        re: "m1",
        code: "ID_USED",
        message: 'id: "m1" is the id of another message',
      })
    }
    bob.wire.say(first)
    expect(await bob.wire.next("ACK")).toMatchObject({ duplicate: true })
    expect((await eve.wire.settle()).filter(({ type }) => type === "MSG")).toHaveLength(1)
  })

  it("is recognized without its content being kept", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    const content = "x".repeat(100_000)
    const send = async (from: number) => {
      for (let i = from; i < from + 100; i++) {
        wire.say({ type: "MSG", to: "#general", content, id: `an-id-of-some-length-${i}` })
        await wire.next("ACK")
      }
      wire.frames.length = 0
      return reachableBytes().heap
    }
    const before = await send(0)
    expect((await send(100)) - before).toBeLessThan(3_000_000)
  })

  it("has the length of its chain of replies in `hops`", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    relay.clock.advance(100)
    await bob.wire.ask({ type: "MSG", to: "#general", content: "0" })
    const first = await eve.wire.next("MSG")
    await eve.wire.ask({ type: "MSG", to: "#general", content: "1", in_reply_to: first.msg_id })
    const second = await bob.wire.next("MSG")
    await bob.wire.ask({ type: "MSG", to: "#general", content: "2", in_reply_to: second.msg_id })
    const third = await eve.wire.next("MSG")
    await eve.wire.ask({ type: "MSG", to: "#general", content: "?", in_reply_to: "unknown" })
    await eve.wire.ask({ type: "MSG", to: "#general", content: "?", in_reply_to: "un.known" })
    const unknown = [await bob.wire.next("MSG"), await bob.wire.next("MSG")]
    expect([first, second, third, ...unknown].map(({ hops }) => hops)).toEqual([0, 1, 2, 1, 1])
  })

  it("waits for the sender's rate, and is refused with the time if that is too long", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 10 } })
    const { wire } = await relay.enter("bob")
    const send = (id: string) => {
      wire.say({ type: "MSG", to: "#general", content: "x", id })
      return wire.settle()
    }
    for (let i = 0; i < 10; i++) expect(await send(`m${i}`)).toMatchObject([{ type: "ACK" }])
    for (let i = 10; i < 15; i++) expect(await send(`m${i}`)).toEqual([])
    expect(await send("late")).toEqual([
      { type: "ERROR", re: "late", code: "RATE_LIMITED", message: expect.any(String), retry_after_ms: 6000 },
    ])
    relay.clock.advance(6000)
    const acknowledged = await wire.settle()
    expect(acknowledged.map((answer) => "re" in answer && answer.re)).toEqual([
      ...["m10", "m11", "m12", "m13", "m14"],
    ])
    expect(await send("late")).toMatchObject([{ type: "ACK", seq: 16 }])
  })

  it("is not limited if the rate is lifted", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 100_000, rateBurst: 10 } })
    const { wire, welcome } = await relay.enter("bob")
    expect(welcome.limits.burst).toBe(100_000)
    wire.say(
      ...Array.from({ length: 5000 }, (_, i) => ({ type: "MSG", to: "#general", content: "x", id: `m${i}` })),
    )
    expect((await wire.settle()).filter(({ type }) => type === "ACK")).toHaveLength(5000)
  })
})

describe("requests", () => {
  it("have their own rate, so that presence and invitations cannot flood others", async () => {
    const relay = await TestRelay.start({ limits: { requestsPerSecond: 10, requestBurst: 5 } })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "bob" })
    await wire.next("WELCOME")
    const answers = []
    for (let i = 0; i < 5; i++) answers.push(await wire.ask({ type: "SET_PRESENCE", status: "away" }))
    expect(answers.map(({ type }) => type)).toEqual(["ACK", "ACK", "ACK", "ACK", "ERROR"])
    expect(answers.at(-1)).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 100 })
    expect(await wire.ask({ type: "MSG", to: "#general", content: "x" })).toMatchObject({ type: "ACK" })
  })
})

describe("MSG to an agent", () => {
  it("reaches it by id or by name, in any case, and nobody else", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("Eve", "#general")
    const ann = await relay.enter("ann", "#general")
    relay.clock.advance(100)
    await ann.wire.settle()
    for (const to of [eve.id, "@Eve", "@eve"]) {
      expect(await bob.wire.ask({ type: "MSG", to, content: to })).toMatchObject({
        state: "accepted",
        recipients: 1,
      })
      const message = await eve.wire.next("MSG")
      expect(message).toMatchObject({ to: eve.id, from: bob.id, content: to })
      expect(message).not.toHaveProperty("seq")
    }
    expect(await ann.wire.settle()).toEqual([])
  })

  it("is refused with candidates if several agents have the name", async () => {
    const relay = await TestRelay.start()
    const [one, two] = [await relay.enter("eve"), await relay.enter("EVE")]
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "hi" })).toMatchObject({
      code: "AMBIGUOUS_NAME",
      candidates: [one.id, two.id],
    })
  })

  it("is refused with similar names if there is no such agent", async () => {
    const relay = await TestRelay.start()
    await relay.enter("reviewer")
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@reviwer", content: "hi" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
      candidates: ["@reviewer"],
    })
  })

  it("is refused once an agent without a key is gone", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve")
    const bob = await relay.enter("bob")
    eve.wire.socket.end()
    await eve.wire.ended()
    await expect.poll(() => relay.log.some((line) => line.startsWith("left:"))).toBe(true)
    expect(await bob.wire.ask({ type: "MSG", to: eve.id, content: "hi" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "hi" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
  })
})

describe("direct messages to a persistent identity", () => {
  const keyPair = generateKeyPair()

  async function gone(relay: TestRelay) {
    const eve = await relay.enterAs(keyPair, "eve")
    const lines = relay.log.length
    eve.wire.socket.destroy()
    await expect.poll(() => relay.log.length).toBe(lines + 1)
    return eve.id
  }

  it("wait for an agent that the relay has not met, for instance since it was restarted", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const id = agentIdOf(keyPair.publicKey)
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "1" })).toMatchObject({ recipients: 0, to: id })
    expect(await bob.wire.ask({ type: "MSG", to: "#general", mentions: [id], content: "2" })).toMatchObject({
      type: "ACK",
    })
    expect(await bob.wire.ask({ type: "PENDING", target: id })).toMatchObject({ count: 1 })
    const eve = await relay.enterAs(keyPair, "eve")
    expect(await eve.wire.next("MSG")).toMatchObject({ content: "1" })
  })

  it("wait, if they are proposals, for an agent that the relay has not met", async () => {
    const relay = await TestRelay.start()
    const ann = await enterParty(relay, "ann")
    const made = { aud: relay.relay.serverId, now: relay.clock.now() }
    const bob = new Signer()
    expect(await ann.say(ann.signer.propose(bob, made))).toMatchObject({ type: "PROPOSAL", state: "pending" })
    expect(await (await enterParty(relay, "bob", bob)).newStatements()).toMatchObject([{ type: "PROPOSAL" }])
  })

  it("wait for it under its id or name, and are sent again until they are confirmed", async () => {
    const relay = await TestRelay.start()
    const id = await gone(relay)
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "1" })).toMatchObject({ recipients: 0 })
    expect(await bob.wire.ask({ type: "MSG", to: "@EVE", content: "2" })).toMatchObject({ recipients: 0 })
    for (let session = 0; session < 2; session++) {
      const eve = await relay.enterAs(keyPair, "eve")
      expect(await eve.wire.settle()).toMatchObject([{ content: "1" }, { content: "2" }])
    }
    const eve = await relay.enterAs(keyPair, "eve")
    const [first, second] = (await eve.wire.settle()) as ServerMessage<"MSG">[]
    eve.wire.say({ type: "RECEIVED", ids: [first?.msg_id, "unknown.1"] })
    expect(await bob.wire.next("DELIVERY")).toEqual({
      type: "DELIVERY",
      msg_id: first?.msg_id,
      state: "mirrored",
      by: id,
      ts: relay.clock.now(),
    })
    const last = await relay.enterAs(keyPair, "eve")
    expect(await last.wire.settle()).toEqual([second])
  })

  it("are stored while it is online, until it confirms them", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enterAs(keyPair, "eve")
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "1" })).toMatchObject({ recipients: 1 })
    const { msg_id } = await eve.wire.next("MSG")
    const again = await relay.enterAs(keyPair, "eve")
    expect(await again.wire.next("MSG")).toMatchObject({ msg_id, content: "1" })
    again.wire.say({ type: "RECEIVED", ids: [msg_id], up_to: { "#general": 3 } })
    await bob.wire.next("DELIVERY")
    again.wire.say({ type: "RECEIVED", ids: [msg_id] })
    expect(await again.wire.settle()).toEqual([])
    expect(await bob.wire.settle()).toEqual([])
  })

  it("are refused if the mailbox is full, and none that waits is dropped", async () => {
    const relay = await TestRelay.start({ limits: { mailboxMessages: 2 } })
    const id = await gone(relay)
    const bob = await relay.enter("bob")
    for (const content of ["1", "2"]) await bob.wire.ask({ type: "MSG", to: id, content })
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "3" })).toMatchObject({
      code: "MAILBOX_FULL",
      retry_after_ms: expect.any(Number),
    })
    const eve = await relay.enterAs(keyPair, "eve")
    const letters = (await eve.wire.settle()) as ServerMessage<"MSG">[]
    expect(letters.map(({ content }) => content)).toEqual(["1", "2"])
    eve.wire.say({ type: "RECEIVED", ids: letters.map(({ msg_id }) => msg_id) })
    await eve.wire.settle()
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "3" })).toMatchObject({ type: "ACK" })
  })

  it("are refused if the mailbox, or all mailboxes together, would be too large", async () => {
    for (const limits of [{ mailboxBytes: 5000 }, { mailTotalBytes: 5000 }]) {
      const relay = await TestRelay.start({ limits })
      const id = await gone(relay)
      const bob = await relay.enter("bob")
      const frame = { type: "MSG", to: id, content: "x".repeat(3000) }
      expect(await bob.wire.ask(frame)).toMatchObject({ type: "ACK" })
      expect(await bob.wire.ask(frame)).toMatchObject({ code: "MAILBOX_FULL" })
    }
  })
})

describe("RECEIVED", () => {
  it("is accepted from an agent without a key, without effect", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    wire.say({ type: "RECEIVED", ids: ["x.1"], up_to: { "#general": 1 } }, { type: "RECEIVED" })
    expect(await wire.settle()).toEqual([])
  })
})

describe("the log", () => {
  it("does not contain the contents of messages", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    await wire.ask({ type: "MSG", to: "#general", content: "private" })
    expect(relay.log.join("\n")).not.toContain("private")
  })

  it("contains them with logMessages, without control characters", async () => {
    const relay = await TestRelay.start({ logMessages: true })
    const { wire, id } = await relay.enter("bob")
    await wire.ask({ type: "MSG", to: "#general", content: "\u001b[2J\u202e" })
    expect(relay.log.at(-1)).toBe(String.raw`{"from":"${id}","to":"#general","content":"\u001b[2J\u202e"}`)
  })
})
