import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import { liftedGuards } from "../kit/guards.js"
import { TestRelay } from "../kit/relay.js"

/** One message a second, two at once, and at most three seconds of waiting. */
const slow = {
  limits: { ratePerSecond: 1, rateBurst: 2 },
  guards: { ...liftedGuards, ratePatienceMs: 3_000 },
}

const say = (id: string, more: object = {}) => ({ type: "MSG", to: "#general", content: id, id, ...more })

/** Returns the answers by the id of their frame. */
function answers(messages: readonly ServerMessage[]): string[] {
  return messages.flatMap((message) => ("re" in message ? [`${message.re} ${message.type}`] : []))
}

/** Messages that each member read from a channel. */
const contents = (messages: readonly ServerMessage[]) =>
  messages.flatMap((message) => (message.type === "MSG" ? [message.content] : []))

describe("a message over the rate", () => {
  it("is delivered when the rate allows it, and refused if that takes too long", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve", "#general")
    bob.wire.say(...Array.from({ length: 7 }, (_, i) => say(`m${i}`)))
    const first = await bob.wire.settle()
    expect(answers(first)).toEqual(["m0 ACK", "m1 ACK", "m5 ERROR", "m6 ERROR"])
    expect(first.at(-1)).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 4_000 })
    expect(contents(await eve.wire.settle())).toEqual(["m0", "m1"])
    for (const next of ["m2", "m3", "m4"]) {
      relay.clock.advance(999)
      expect(contents(await eve.wire.settle())).toEqual([])
      relay.clock.advance(1)
      expect(await bob.wire.next("ACK")).toMatchObject({ re: next, ts: relay.clock.now() })
      expect(contents(await eve.wire.settle())).toEqual([next])
    }
    relay.clock.advance(60_000)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("keeps its place before later frames", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await bob.wire.settle()
    await eve.wire.settle()
    const leave = { type: "LEAVE", channel: "#general", id: "leave" }
    bob.wire.say(...["a", "b", "c", "d"].map((id) => say(id)), leave, { type: "LIST_CHANNELS", id: "list" })
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    relay.clock.advance(1_000)
    expect(answers(await bob.wire.settle())).toEqual(["c ACK"])
    expect((await eve.wire.settle()).map(({ type }) => type)).toEqual(["MSG", "MSG", "MSG"])
    relay.clock.advance(1_000)
    const rest = await bob.wire.settle()
    expect(answers(rest)).toEqual(["d ACK", "leave LEFT", "list CHANNELS"])
    expect(rest[0]).not.toHaveProperty("hint")
    relay.clock.advance(1_000)
    await eve.wire.next("AGENT_LEFT")
  })

  it("does not overtake a frame that takes longer to handle", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob", "#general")
    const pending = { type: "PENDING", id: "pending" }
    bob.wire.say(say("a"), say("b"), say("c"), pending, say("d"), { type: "LIST_CHANNELS", id: "list" })
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    relay.clock.advance(3_000)
    for (const type of ["ACK", "PENDING", "ACK", "CHANNELS"] as const) await bob.wire.next(type)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("delays neither PING nor RECEIVED", async () => {
    const keyPair = generateKeyPair()
    const relay = await TestRelay.start(slow)
    const bob = await relay.enterAs(keyPair, "bob")
    const eve = await relay.enterAs(generateKeyPair(), "eve")
    eve.wire.say({ type: "MSG", to: bob.id, content: "x", id: "mail" })
    const { msg_id: id } = await bob.wire.next("MSG")
    bob.wire.say(say("a"), say("b"), say("c"), { type: "PING", id: "ping" }, { type: "RECEIVED", ids: [id] })
    await eve.wire.next("ACK")
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK", "ping PONG"])
    expect(await eve.wire.next("DELIVERY")).toMatchObject({ msg_id: id, state: "mirrored", by: bob.id })
  })

  it("delays no other agent", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve")
    bob.wire.say(...Array.from({ length: 20 }, (_, i) => say(`m${i}`)))
    await bob.wire.settle()
    eve.wire.say(say("e1"), say("e2"))
    expect(answers(await eve.wire.settle())).toEqual(["e1 ACK", "e2 ACK"])
  })

  it("does not make its author look offline, since pings are answered", async () => {
    const relay = await TestRelay.start({
      limits: { ratePerSecond: 0.05, rateBurst: 1 },
      guards: { ...liftedGuards, ratePatienceMs: 60_000 },
    })
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await eve.wire.settle()
    bob.wire.say(say("a"), say("b"))
    expect(answers(await bob.wire.settle())).toEqual(["a ACK"])
    const received: ServerMessage[] = []
    for (let ms = 0; ms < 18_000; ms += 2_000) {
      relay.clock.advance(2_000)
      // The client itself sends only pongs.
      received.push(...(await eve.wire.settle()), ...(await eve.wire.settle()))
    }
    expect(bob.wire.frames.filter(({ opcode }) => opcode === 9).length).toBeGreaterThan(3)
    expect(received.filter(({ type }) => type === "PRESENCE_CHANGED")).toEqual([])
    relay.clock.advance(2_000)
    expect(await bob.wire.next("ACK")).toMatchObject({ re: "b" })
  })
})

describe("a message that is sent again while it waits", () => {
  it("is delivered and charged once", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve", "#general")
    bob.wire.say(...["a", "b", "c", "c", "c", "d"].map((id) => say(id)))
    expect(answers(await bob.wire.settle())).toEqual(["a ACK", "b ACK"])
    relay.clock.advance(2_000)
    const rest = await bob.wire.settle()
    expect(answers(rest)).toEqual(["c ACK", "c ACK", "c ACK", "d ACK"])
    expect(rest.map((message) => message.type === "ACK" && message.duplicate)).toEqual([
      ...[undefined, true, true, undefined],
    ])
    expect(contents(await eve.wire.settle())).toEqual(["a", "b", "c", "d"])
  })

  it("is delivered once if its session is displaced, and frames that waited are not charged", async () => {
    const keyPair = generateKeyPair()
    const relay = await TestRelay.start(slow)
    const eve = await relay.enter("eve", "#general")
    const first = await relay.enterAs(keyPair, "bob")
    first.wire.say(...["a", "b", "c", "d", "e"].map((id) => say(id)))
    expect(answers(await first.wire.settle())).toEqual(["a ACK", "b ACK"])
    const second = await relay.enterAs(keyPair, "bob")
    expect(await first.wire.ended()).toMatchObject({ code: 4001 })
    second.wire.say(...["c", "d", "e", "f"].map((id) => say(id)))
    expect(answers(await second.wire.settle())).toEqual(["f ERROR"])
    relay.clock.advance(3_000)
    const rest = await second.wire.settle()
    expect(answers(rest)).toEqual(["c ACK", "d ACK", "e ACK"])
    expect(rest.every((message) => !("duplicate" in message))).toBe(true)
    expect(contents(await eve.wire.settle())).toEqual(["a", "b", "c", "d", "e"])
  })
})

describe("a delayed frame", () => {
  it("is dropped with its session", async () => {
    const relay = await TestRelay.start(slow)
    const eve = await relay.enter("eve", "#general")
    const bob = await relay.enter("bob")
    bob.wire.say(say("a"), say("b"), say("c"))
    await bob.wire.settle()
    expect(relay.clock.pending).toContain(1_000)
    bob.wire.socket.destroy()
    await until("bob is gone", () => relay.log.some((line) => line.startsWith(`left: ${bob.id}`)))
    expect(relay.clock.pending).not.toContain(1_000)
    relay.clock.advance(3_000)
    expect(contents(await eve.wire.settle())).toEqual(["a", "b"])
  })

  it("is dropped with its relay", async () => {
    const relay = await TestRelay.start(slow)
    const bob = await relay.enter("bob")
    bob.wire.say(say("a"), say("b"), say("c"))
    await bob.wire.settle()
    const stopped = relay.relay.stop()
    expect(relay.clock.pending).not.toContain(1_000)
    await bob.wire.ended()
    relay.clock.advance(3_000)
    await stopped
    expect(bob.wire.frames.filter(({ payload }) => payload.includes('"re":"c"'))).toEqual([])
  })

  it("is refused beyond the bounds in frames and bytes of a session and of the relay", async () => {
    for (const bounds of [{ delayedFrames: 2 }, { delayedBytes: 40_000 }, { delayedTotalBytes: 40_000 }]) {
      const relay = await TestRelay.start({
        limits: { ...slow.limits, ...bounds },
        guards: { ...slow.guards, rateBytes: 1_000_000 },
      })
      const bob = await relay.enter("bob")
      const text = "x".repeat(15_000)
      const list = (id: string) => ({ type: "LIST_CHANNELS", id })
      bob.wire.say(...["a", "b", "c", "d", "e"].map((id) => say(id, { content: text })), list("l"))
      const messages = await bob.wire.settle()
      const full = messages.filter(({ type }) => type === "ERROR")
      expect(full[0]).toMatchObject({ re: "e", code: "RATE_LIMITED", retry_after_ms: 3_000 })
      const isCounted = "delayedFrames" in bounds
      if (isCounted) expect(full[1]).toMatchObject({ re: "l", code: "RATE_LIMITED", retry_after_ms: 2_000 })
      expect(answers(messages)).toHaveLength(isCounted ? 4 : 3)
      // Frames that were refused were not charged.
      relay.clock.advance(2_000)
      expect(answers(await bob.wire.settle()).slice(0, 2)).toEqual(["c ACK", "d ACK"])
      bob.wire.say(say("e"))
      expect(answers(await bob.wire.settle())).toEqual([])
      relay.clock.advance(1_000)
      expect(await bob.wire.next("ACK")).toMatchObject({ re: "e" })
    }
  })
})

describe("a long message", () => {
  it("is charged by its bytes, in units of rateBytes", async () => {
    const relay = await TestRelay.start({
      limits: { ratePerSecond: 1, rateBurst: 4 },
      guards: { ...liftedGuards, rateBytes: 1_000, ratePatienceMs: 1 },
    })
    const { wire, welcome } = await relay.enter("bob")
    expect(welcome.limits).toMatchObject({ burst: 4, rate_bytes: 1_000 })
    wire.say(say("three", { content: "ü".repeat(1_200) }), say("one"), say("late"))
    const messages = await wire.settle()
    expect(answers(messages)).toEqual(["three ACK", "one ACK", "late ERROR"])
    expect(messages.at(-1)).toMatchObject({ retry_after_ms: 1_000 })
  })

  it("of any length passes if the rate is unused, and the next one waits for all of it", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 4 }, guards: slow.guards })
    const { wire } = await relay.enter("bob")
    relay.clock.advance(60_000)
    wire.say(say("long", { content: "x".repeat(20_480) }), say("next"))
    const messages = await wire.settle()
    expect(answers(messages)).toEqual(["long ACK", "next ERROR"])
    expect(messages.at(-1)).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 8_000 })
  })
})
