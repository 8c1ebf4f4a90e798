import { describe, expect, it, onTestFinished, vi } from "vitest"
import { Session } from "../../src/server/sessions/session.js"
import { TestRelay } from "../kit/relay.js"
import { maskedFrame } from "../kit/wire.js"

async function session(limits = {}) {
  const relay = await TestRelay.start({ limits })
  const { wire } = await relay.enter("bob")
  return { relay, wire }
}

describe("a frame that is not a message", () => {
  it.each([
    ["not json", "no JSON", /^frame: /],
    ["[1]", "no object", "frame: must be a JSON object"],
    ['{"type":"MSG","type":"PING"}', "a duplicate key", "type: duplicate key"],
    ['{"type":"NICK"}', "an unknown type", 'type: "NICK" is not a message of this protocol'],
    ['{"type":"MSG","to":"#general","content":"\\ud800"}', "a lone surrogate", /lone surrogate/],
    [`{"type":"PING","x":${"[".repeat(17)}${"]".repeat(17)}}`, "deep nesting", /nested deeper than 16/],
    ['{"type":"MSG","to":"general","content":"x"}', "a bad address", /^MSG\.to: /],
  ])("%s is refused, and the session continues", async (text, _, message) => {
    const { wire } = await session()
    wire.say(text)
    expect(await wire.next("ERROR")).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringMatching(message),
    })
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("is refused with its id in `re`", async () => {
    const { wire } = await session()
    expect(await wire.ask({ type: "NICK" })).toMatchObject({ code: "INVALID_MSG" })
  })

  it("is refused if it is binary", async () => {
    const { wire } = await session()
    wire.sayRaw(2, Buffer.from('{"type":"PING"}'))
    expect(await wire.next("ERROR")).toMatchObject({
      code: "INVALID_MSG",
      message: "frame: is binary; send text",
    })
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("is refused if it exceeds limits.frameBytes", async () => {
    const { wire } = await session({ frameBytes: 1000 })
    for (const length of [1001, 4000]) {
      wire.say("x".repeat(length))
      expect(await wire.next("ERROR")).toMatchObject({
        code: "INVALID_MSG",
        message: `frame: has ${length} bytes; at most 1000 are read`,
      })
    }
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("ends the connection if it is four times too large", async () => {
    const { wire } = await session({ frameBytes: 1000 })
    wire.say("x".repeat(4001))
    expect(await wire.ended()).toMatchObject({ code: 1009 })
  })

  it("ends the connection if it is not UTF-8, as RFC 6455 requires", async () => {
    const { wire } = await session()
    wire.sayRaw(1, Buffer.from([0xff, 0xfe]))
    expect(await wire.ended()).toMatchObject({ code: 1007 })
  })

  it("is echoed only in part", async () => {
    const { wire } = await session()
    const long = "x".repeat(100_000)
    for (const frame of [
      { type: long },
      { type: "JOIN", channel: long },
      { type: "MSG", to: `@${long}`, content: "x" },
    ]) {
      expect(JSON.stringify(await wire.ask(frame)).length).toBeLessThan(500)
    }
  })
})

describe("frames", () => {
  it("may arrive in pieces, or many at once", async () => {
    const { wire } = await session()
    const frames = Buffer.concat(
      Array.from({ length: 50 }, (_, i) =>
        maskedFrame(1, Buffer.from(JSON.stringify({ type: "PING", id: `p${i}` }))),
      ),
    )
    for (let at = 0; at < frames.length; at += 7) wire.socket.write(frames.subarray(at, at + 7))
    const pongs = []
    for (let i = 0; i < 50; i++) pongs.push((await wire.next("PONG")).re)
    expect(pongs).toEqual(Array.from({ length: 50 }, (_, i) => `p${i}`))
  })

  it("that are pings are answered between messages", async () => {
    const { wire } = await session()
    for (let i = 0; i < 200; i++) {
      wire.say({ type: "PING", id: `p${i}` })
      if (i % 10 === 0) wire.sayRaw(9, Buffer.from(`c${i}`))
    }
    await wire.settle()
    const pongs = wire.frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => payload.toString())
    expect(pongs).toEqual(Array.from({ length: 20 }, (_, i) => `c${i * 10}`))
  })
})

describe("an error that nobody expected, in the refusal of a frame", () => {
  it.each([
    ["at once", [{ type: "NICK" }]],
    ["behind a request that waits for the store", [{ type: "PENDING" }, { type: "NICK" }, { type: "PING" }]],
  ])("%s ends that session with a logged reason, and no other one", async (_name, frames) => {
    const { relay, wire } = await session()
    const ann = await relay.enter("ann")
    const pay = vi.spyOn(Session.prototype, "payForWaste").mockImplementation(() => {
      throw new Error("a bug")
    })
    onTestFinished(() => pay.mockRestore())
    wire.say(...frames)
    expect(await wire.ended()).toMatchObject({ code: 1011 })
    pay.mockRestore()
    expect(relay.log.filter((line) => line.includes("ends: Error: a bug"))).toHaveLength(1)
    expect(await ann.wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })
})
