import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import { liftedGuards } from "../kit/guards.js"
import { TestRelay } from "../kit/relay.js"

/** One a second, two at once, and at most three seconds of waiting. */
const slow = {
  limits: { ratePerSecond: 1, rateBurst: 2 },
  guards: { ...liftedGuards, ratePatienceMs: 3_000 },
}

const say = (id: string, more: object = {}) => ({ type: "MSG", to: "#general", content: id, id, ...more })

/** Which frames were answered, and how. */
function answers(messages: readonly ServerMessage[]): string[] {
  return messages.flatMap((message) => ("re" in message ? [`${message.re} ${message.type}`] : []))
}

/** What everybody read of a channel. */
const contents = (messages: readonly ServerMessage[]) =>
  messages.flatMap((message) => (message.type === "MSG" ? [message.content] : []))

describe("a message over the rate", () => {
  it("is delivered when the rate allows it, and refused if that is too far away", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob")
    const eve = await house.enter("eve", "#general")
    bob.wire.say(...Array.from({ length: 7 }, (_, i) => say(`m${i}`)))
    const first = await bob.wire.settle()
    expect(answers(first)).toEqual(["m0 ACK", "m1 ACK", "m5 ERROR", "m6 ERROR"])
    expect(first.at(-1)).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 4_000 })
    expect(contents(await eve.wire.settle())).toEqual(["m0", "m1"])
    for (const next of ["m2", "m3", "m4"]) {
      house.clock.advance(999)
      expect(contents(await eve.wire.settle())).toEqual([])
      house.clock.advance(1)
      expect(await bob.wire.next("ACK")).toMatchObject({ re: next, ts: house.clock.now() })
      expect(contents(await eve.wire.settle())).toEqual([next])
    }
    house.clock.advance(60_000)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("keeps its place: what is said after it happens after it", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await bob.wire.settle()
    await eve.wire.settle()
    const leave = { type: "LEAVE", channel: "#general", id: "leave" }
    bob.wire.say(...["a", "b", "c", "d"].map((id) => say(id)), leave, { type: "LIST_CHANNELS", id: "list" })
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    house.clock.advance(1_000)
    expect(answers(await bob.wire.settle())).toEqual(["c ACK"])
    expect((await eve.wire.settle()).map(({ type }) => type)).toEqual(["MSG", "MSG", "MSG"])
    house.clock.advance(1_000)
    const rest = await bob.wire.settle()
    expect(answers(rest)).toEqual(["d ACK", "leave LEFT", "list CHANNELS"])
    expect(rest[0]).not.toHaveProperty("hint")
    house.clock.advance(1_000)
    await eve.wire.next("AGENT_LEFT")
  })

  it("does not overtake what takes the relay longer", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob", "#general")
    const pending = { type: "PENDING", id: "pending" }
    bob.wire.say(say("a"), say("b"), say("c"), pending, say("d"), { type: "LIST_CHANNELS", id: "list" })
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    house.clock.advance(3_000)
    for (const type of ["ACK", "PENDING", "ACK", "CHANNELS"] as const) await bob.wire.next(type)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("delays neither PING nor RECEIVED", async () => {
    const keyPair = generateKeyPair()
    const house = await TestRelay.start(slow)
    const bob = await house.enterAs(keyPair, "bob")
    const eve = await house.enterAs(generateKeyPair(), "eve")
    eve.wire.say({ type: "MSG", to: bob.id, content: "x", id: "mail" })
    const { msg_id: id } = await bob.wire.next("MSG")
    bob.wire.say(say("a"), say("b"), say("c"), { type: "PING", id: "ping" }, { type: "RECEIVED", ids: [id] })
    await eve.wire.next("ACK")
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK", "ping PONG"])
    expect(await eve.wire.next("DELIVERY")).toMatchObject({ msg_id: id, state: "mirrored", by: bob.id })
  })

  it("is nobody else's business", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob")
    const eve = await house.enter("eve")
    bob.wire.say(...Array.from({ length: 20 }, (_, i) => say(`m${i}`)))
    await bob.wire.settle()
    eve.wire.say(say("e1"), say("e2"))
    expect(answers(await eve.wire.settle())).toEqual(["e1 ACK", "e2 ACK"])
  })

  it("does not make its author look offline, who still answers every ping", async () => {
    const house = await TestRelay.start({
      limits: { ratePerSecond: 0.05, rateBurst: 1 },
      guards: { ...liftedGuards, ratePatienceMs: 60_000 },
    })
    const bob = await house.enter("bob", "#general")
    const eve = await house.enter("eve", "#general")
    await eve.wire.settle()
    bob.wire.say(say("a"), say("b"))
    expect(answers(await bob.wire.settle())).toEqual(["a ACK"])
    const told: ServerMessage[] = []
    for (let ms = 0; ms < 18_000; ms += 2_000) {
      house.clock.advance(2_000)
      // What he says himself is nothing but pongs.
      told.push(...(await eve.wire.settle()), ...(await eve.wire.settle()))
    }
    expect(bob.wire.frames.filter(({ opcode }) => opcode === 9).length).toBeGreaterThan(3)
    expect(told.filter(({ type }) => type === "PRESENCE_CHANGED")).toEqual([])
    house.clock.advance(2_000)
    expect(await bob.wire.next("ACK")).toMatchObject({ re: "b" })
  })
})

describe("a message that is sent again while it waits", () => {
  it("is one message, and is charged once", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob")
    const eve = await house.enter("eve", "#general")
    bob.wire.say(...["a", "b", "c", "c", "c", "d"].map((id) => say(id)))
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    house.clock.advance(2_000)
    const rest = await bob.wire.settle()
    expect(answers(rest)).toEqual(["c ACK", "c ACK", "c ACK", "d ACK"])
    expect(rest.map((message) => message.type === "ACK" && message.duplicate)).toEqual([
      ...[undefined, true, true, undefined],
    ])
    expect(contents(await eve.wire.settle())).toEqual(["a", "b", "c", "d"])
  })

  it("is one message when its session is taken over, and what the old one waited for is not counted", async () => {
    const keyPair = generateKeyPair()
    const house = await TestRelay.start(slow)
    const eve = await house.enter("eve", "#general")
    const first = await house.enterAs(keyPair, "bob")
    first.wire.say(...["a", "b", "c", "d", "e"].map((id) => say(id)))
    expect(answers(await first.wire.settle())).toEqual(["a ACK", "b ACK"])
    const second = await house.enterAs(keyPair, "bob")
    expect(await first.wire.ended()).toMatchObject({ code: 4001 })
    second.wire.say(...["c", "d", "e", "f"].map((id) => say(id)))
    expect(answers(await second.wire.settle())).toEqual(["f ERROR"])
    house.clock.advance(3_000)
    const rest = await second.wire.settle()
    expect(answers(rest)).toEqual(["c ACK", "d ACK", "e ACK"])
    expect(rest.every((message) => !("duplicate" in message))).toBe(true)
    expect(contents(await eve.wire.settle())).toEqual(["a", "b", "c", "d", "e"])
  })
})

describe("what waits", () => {
  it("ends with its session", async () => {
    const house = await TestRelay.start(slow)
    const eve = await house.enter("eve", "#general")
    const bob = await house.enter("bob")
    bob.wire.say(say("a"), say("b"), say("c"))
    await bob.wire.settle()
    expect(house.clock.pending).toContain(1_000)
    bob.wire.socket.destroy()
    await until("bob is gone", () => house.log.some((line) => line.startsWith(`left: ${bob.id}`)))
    expect(house.clock.pending).not.toContain(1_000)
    house.clock.advance(3_000)
    expect(contents(await eve.wire.settle())).toEqual(["a", "b"])
  })

  it("ends with its relay", async () => {
    const house = await TestRelay.start(slow)
    const bob = await house.enter("bob")
    bob.wire.say(say("a"), say("b"), say("c"))
    await bob.wire.settle()
    const stopped = house.relay.stop()
    expect(house.clock.pending).not.toContain(1_000)
    await bob.wire.ended()
    house.clock.advance(3_000)
    await stopped
    expect(bob.wire.frames.filter(({ payload }) => payload.includes('"re":"c"'))).toEqual([])
  })

  it("is bounded in frames and in bytes, for one session and for all", async () => {
    for (const bounds of [{ delayedFrames: 2 }, { delayedBytes: 40_000 }, { delayedTotalBytes: 40_000 }]) {
      const house = await TestRelay.start({
        limits: { ...slow.limits, ...bounds },
        guards: { ...slow.guards, rateBytes: 1_000_000 },
      })
      const bob = await house.enter("bob")
      const text = "x".repeat(15_000)
      const list = (id: string) => ({ type: "LIST_CHANNELS", id })
      bob.wire.say(...["a", "b", "c", "d", "e"].map((id) => say(id, { content: text })), list("l"))
      const messages = await bob.wire.settle()
      const full = messages.filter(({ type }) => type === "ERROR")
      expect(full[0]).toMatchObject({ re: "e", code: "RATE_LIMITED", retry_after_ms: 3_000 })
      const isCounted = "delayedFrames" in bounds
      if (isCounted) expect(full[1]).toMatchObject({ re: "l", code: "RATE_LIMITED", retry_after_ms: 2_000 })
      expect(answers(messages)).toHaveLength(isCounted ? 4 : 3)
      // What found no room was not charged either.
      house.clock.advance(2_000)
      expect(answers(await bob.wire.settle()).slice(0, 2)).toEqual(["c ACK", "d ACK"])
      bob.wire.say(say("e"))
      expect(answers(await bob.wire.settle())).toEqual([])
      house.clock.advance(1_000)
      expect(await bob.wire.next("ACK")).toMatchObject({ re: "e" })
    }
  })
})

describe("a long message", () => {
  it("counts as several, as the operator's numbers say, in bytes and not in characters", async () => {
    const house = await TestRelay.start({
      limits: { ratePerSecond: 1, rateBurst: 4 },
      guards: { ...liftedGuards, rateBytes: 1_000, ratePatienceMs: 1 },
    })
    const { wire, welcome } = await house.enter("bob")
    expect(welcome.limits).toMatchObject({ burst: 4, rate_bytes: 1_000 })
    wire.say(say("three", { content: "ü".repeat(1_200) }), say("one"), say("late"))
    const messages = await wire.settle()
    expect(answers(messages)).toEqual(["three ACK", "one ACK", "late ERROR"])
    expect(messages.at(-1)).toMatchObject({ retry_after_ms: 1_000 })
  })

  it("of any length passes once nothing is used up, and the next waits for all of it", async () => {
    const house = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 4 }, guards: slow.guards })
    const { wire } = await house.enter("bob")
    wire.say(say("long", { content: "x".repeat(20_480) }), say("next"))
    const messages = await wire.settle()
    expect(answers(messages)).toEqual(["long ACK", "next ERROR"])
    expect(messages.at(-1)).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 8_000 })
  })
})
