import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { reachableBytes } from "../kit/memory.js"
import { TestRelay } from "../kit/relay.js"

const hostile = 'a\nb\u0000\u001b[31m\u202e\u200b"\\ {"type":"MSG"} é 😀 \u2028'

describe("MSG to a channel", () => {
  it("reaches every member but its author, who gets the ACK", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    const ann = await house.enter("ann", "#general")
    house.clock.advance(100)
    bob.wire.say({ type: "MSG", to: "#general", content: "hi", id: "m1", from: "@forged", name: "forged" })
    const msg_id = `${bob.id.slice(1)}.m1`
    const ts = house.clock.now()
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
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    const eve = await house.enter("eve", "#general")
    for (const content of ["", hostile, "x".repeat(100_000), '"', "\u007f"]) {
      await bob.wire.ask({ type: "MSG", to: "#general", content })
      expect((await eve.wire.next("MSG")).content).toBe(content)
    }
  })

  it("carries what else a message may hold, and nothing unknown", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    const eve = await house.enter("eve", "#general")
    const extras = { in_reply_to: 'x".1', kind: "inform", mentions: [eve.id], sig: "a..b" }
    const parts = [{ kind: "data", data: { a: [1, null] } }]
    const all = { ...extras, parts, mentions: ["@Eve", eve.id] }
    bob.wire.say({ type: "MSG", to: "#general", content: "hi", ts: 1, other: 1, replay: true, ...all })
    const message = await eve.wire.next("MSG")
    expect(message).toMatchObject({ ...extras, parts })
    expect(message).not.toHaveProperty("other")
    expect(message).not.toHaveProperty("replay")
    expect(message.ts).toBe(house.clock.now())
  })

  it("may come from somebody who is not in the channel, who is told so", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    const eve = await house.enter("eve", "#general")
    expect(await bob.wire.ask({ type: "MSG", to: "#general", content: "hi" })).toMatchObject({
      member: false,
      recipients: 1,
    })
    expect(await eve.wire.next("MSG")).toMatchObject({ content: "hi" })
  })

  it("gets an id of the relay's when it has none", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    bob.wire.say({ type: "MSG", to: "#general", content: "a" }, { type: "MSG", to: "#general", content: "b" })
    const [first, second] = [await bob.wire.next("ACK"), await bob.wire.next("ACK")]
    expect(first).not.toHaveProperty("re")
    expect(first.msg_id).toMatch(new RegExp(`^${bob.id.slice(1)}\\.~[0-9a-z]+$`))
    expect(second.msg_id).not.toBe(first.msg_id)
  })

  it("is one message however often its id is sent", async () => {
    const house = await TestRelay.start()
    const keyPair = generateKeyPair()
    const bob = await house.enterAs(keyPair, "bob")
    const eve = await house.enter("eve", "#general")
    const frame = { type: "MSG", to: "#general", content: "once", id: "m1" }
    bob.wire.say(frame)
    const first = await bob.wire.next("ACK")
    house.clock.advance(5_000)
    bob.wire.say(frame)
    expect(await bob.wire.next("ACK")).toEqual({ ...first, duplicate: true })
    const again = await house.enterAs(keyPair, "bob")
    again.wire.say(frame)
    expect(await again.wire.next("ACK")).toEqual({ ...first, duplicate: true })
    expect(await eve.wire.settle()).toHaveLength(1)
  })

  it("remembers a persistent sender's ids for 15 minutes after it left", async () => {
    const house = await TestRelay.start()
    const keyPair = generateKeyPair()
    const frame = { type: "MSG", to: "#general", content: "once", id: "m1" }
    const send = async (agent: Awaited<ReturnType<TestRelay["enterAs"]>>) => {
      agent.wire.say(frame)
      const { duplicate } = await agent.wire.next("ACK")
      agent.wire.socket.destroy()
      const lines = house.log.length
      await expect.poll(() => house.log.length).toBe(lines + 1)
      return duplicate
    }
    expect(await send(await house.enterAs(keyPair, "bob"))).toBeUndefined()
    house.clock.advance(14 * 60_000)
    expect(await send(await house.enterAs(keyPair, "bob"))).toBe(true)
    house.clock.advance(16 * 60_000)
    await send(await house.enterAs(generateKeyPair(), "other"))
    expect(await send(await house.enterAs(keyPair, "bob"))).toBeUndefined()
  })

  it("is remembered by its id alone, not by what it said", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("bob")
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

  it("counts the replies it answers", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    house.clock.advance(100)
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

  it("is held to the sender's rate: it waits, and what would wait for too long is told how long", async () => {
    const house = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 10 } })
    const { wire } = await house.enter("bob")
    const send = (id: string) => {
      wire.say({ type: "MSG", to: "#general", content: "x", id })
      return wire.settle()
    }
    for (let i = 0; i < 10; i++) expect(await send(`m${i}`)).toMatchObject([{ type: "ACK" }])
    for (let i = 10; i < 15; i++) expect(await send(`m${i}`)).toEqual([])
    expect(await send("late")).toEqual([
      { type: "ERROR", re: "late", code: "RATE_LIMITED", message: expect.any(String), retry_after_ms: 6000 },
    ])
    house.clock.advance(6000)
    const acknowledged = await wire.settle()
    expect(acknowledged.map((answer) => "re" in answer && answer.re)).toEqual([
      ...["m10", "m11", "m12", "m13", "m14"],
    ])
    expect(await send("late")).toMatchObject([{ type: "ACK", seq: 16 }])
  })

  it("may come in any number once the rate is lifted", async () => {
    const house = await TestRelay.start({ limits: { ratePerSecond: 100_000, rateBurst: 10 } })
    const { wire, welcome } = await house.enter("bob")
    expect(welcome.limits.burst).toBe(100_000)
    wire.say(
      ...Array.from({ length: 5000 }, (_, i) => ({ type: "MSG", to: "#general", content: "x", id: `m${i}` })),
    )
    expect((await wire.settle()).filter(({ type }) => type === "ACK")).toHaveLength(5000)
  })
})

describe("requests", () => {
  it("are held to a rate of their own, so that nobody floods others with presence or invitations", async () => {
    const house = await TestRelay.start({ limits: { requestsPerSecond: 10, requestBurst: 5 } })
    const wire = await house.connect()
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
    const house = await TestRelay.start()
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("Eve", "#general")
    const ann = await house.enter("ann", "#general")
    house.clock.advance(100)
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

  it("goes by the exact id first, then by name", async () => {
    const house = await TestRelay.start()
    const eve = await house.enter("eve")
    const namesake = await house.enter(eve.id.slice(1))
    const bob = await house.enter("bob")
    await bob.wire.ask({ type: "MSG", to: eve.id, content: "hi" })
    expect(await eve.wire.next("MSG")).toMatchObject({ content: "hi" })
    expect(await namesake.wire.settle()).toEqual([])
  })

  it("is refused when several agents bear the name, which are listed", async () => {
    const house = await TestRelay.start()
    const [one, two] = [await house.enter("eve"), await house.enter("EVE")]
    const bob = await house.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "hi" })).toMatchObject({
      code: "AMBIGUOUS_NAME",
      candidates: [one.id, two.id],
    })
  })

  it("is refused when there is nobody, with names that are close", async () => {
    const house = await TestRelay.start()
    await house.enter("reviewer")
    const bob = await house.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@reviwer", content: "hi" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
      candidates: ["@reviewer"],
    })
    expect(await bob.wire.ask({ type: "MSG", to: "@0123456789abcdef", content: "hi" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
  })

  it("is refused once an agent without a key is gone", async () => {
    const house = await TestRelay.start()
    const eve = await house.enter("eve")
    const bob = await house.enter("bob")
    eve.wire.socket.end()
    await eve.wire.ended()
    await expect.poll(() => house.log.some((line) => line.startsWith("left:"))).toBe(true)
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

  async function gone(house: TestRelay) {
    const eve = await house.enterAs(keyPair, "eve")
    const lines = house.log.length
    eve.wire.socket.destroy()
    await expect.poll(() => house.log.length).toBe(lines + 1)
    return eve.id
  }

  it("wait for it, under its id or its name, and come again until they are confirmed", async () => {
    const house = await TestRelay.start()
    const id = await gone(house)
    const bob = await house.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "1" })).toMatchObject({ recipients: 0 })
    expect(await bob.wire.ask({ type: "MSG", to: "@EVE", content: "2" })).toMatchObject({ recipients: 0 })
    for (let session = 0; session < 2; session++) {
      const eve = await house.enterAs(keyPair, "eve")
      expect(await eve.wire.settle()).toMatchObject([{ content: "1" }, { content: "2" }])
    }
    const eve = await house.enterAs(keyPair, "eve")
    const [first, second] = (await eve.wire.settle()) as ServerMessage<"MSG">[]
    eve.wire.say({ type: "RECEIVED", ids: [first?.msg_id, "unknown.1"] })
    expect(await bob.wire.next("DELIVERY")).toEqual({
      type: "DELIVERY",
      msg_id: first?.msg_id,
      state: "mirrored",
      by: id,
      ts: house.clock.now(),
    })
    const last = await house.enterAs(keyPair, "eve")
    expect(await last.wire.settle()).toEqual([second])
  })

  it("are kept although it is online, until it confirms", async () => {
    const house = await TestRelay.start()
    const eve = await house.enterAs(keyPair, "eve")
    const bob = await house.enter("bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "1" })).toMatchObject({ recipients: 1 })
    const { msg_id } = await eve.wire.next("MSG")
    const again = await house.enterAs(keyPair, "eve")
    expect(await again.wire.next("MSG")).toMatchObject({ msg_id, content: "1" })
    again.wire.say({ type: "RECEIVED", ids: [msg_id], up_to: { "#general": 3 } })
    await bob.wire.next("DELIVERY")
    again.wire.say({ type: "RECEIVED", ids: [msg_id] })
    expect(await again.wire.settle()).toEqual([])
    expect(await bob.wire.settle()).toEqual([])
  })

  it("are refused when the mailbox is full; nothing that waits is dropped", async () => {
    const house = await TestRelay.start({ limits: { mailboxMessages: 2 } })
    const id = await gone(house)
    const bob = await house.enter("bob")
    for (const content of ["1", "2"]) await bob.wire.ask({ type: "MSG", to: id, content })
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "3" })).toMatchObject({
      code: "MAILBOX_FULL",
      retry_after_ms: expect.any(Number),
    })
    const eve = await house.enterAs(keyPair, "eve")
    const letters = (await eve.wire.settle()) as ServerMessage<"MSG">[]
    expect(letters.map(({ content }) => content)).toEqual(["1", "2"])
    eve.wire.say({ type: "RECEIVED", ids: letters.map(({ msg_id }) => msg_id) })
    await eve.wire.settle()
    expect(await bob.wire.ask({ type: "MSG", to: id, content: "3" })).toMatchObject({ type: "ACK" })
  })

  it("are refused when one would make the mailbox too large, or all mailboxes together", async () => {
    for (const limits of [{ mailboxBytes: 5000 }, { mailTotalBytes: 5000 }]) {
      const house = await TestRelay.start({ limits })
      const id = await gone(house)
      const bob = await house.enter("bob")
      const frame = { type: "MSG", to: id, content: "x".repeat(3000) }
      expect(await bob.wire.ask(frame)).toMatchObject({ type: "ACK" })
      expect(await bob.wire.ask(frame)).toMatchObject({ code: "MAILBOX_FULL" })
    }
  })
})

describe("RECEIVED", () => {
  it("of an agent without a key is taken and means nothing", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("bob")
    wire.say({ type: "RECEIVED", ids: ["x.1"], up_to: { "#general": 1 } }, { type: "RECEIVED" })
    expect(await wire.settle()).toEqual([])
  })
})

describe("the log", () => {
  it("never holds what is said", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("bob")
    await wire.ask({ type: "MSG", to: "#general", content: "private" })
    expect(house.log.join("\n")).not.toContain("private")
  })

  it("holds it on request, without any trick on the terminal", async () => {
    const house = await TestRelay.start({ logMessages: true })
    const { wire, id } = await house.enter("bob")
    await wire.ask({ type: "MSG", to: "#general", content: "\u001b[2J\u202e" })
    expect(house.log.at(-1)).toBe(String.raw`{"from":"${id}","to":"#general","content":"\u001b[2J\u202e"}`)
  })
})
