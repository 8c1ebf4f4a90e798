import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { countRepeats } from "../../src/server/counted-log.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"
import type { Wire } from "../kit/wire.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }
const { requestsPerSecond, requestBurst } = defaultLimits

async function post(from: TestAgent, to: TestAgent): Promise<string> {
  const { msg_id } = (await from.wire.ask({ type: "MSG", to: to.id, content: "x" })) as ServerMessage<"ACK">
  await to.wire.next("MSG")
  return String(msg_id)
}

async function stagesFor({ wire }: TestAgent): Promise<string[]> {
  const messages = await wire.settle()
  return messages.flatMap((message) => (message.type === "DELIVERY" ? [message.state] : []))
}

function pongs({ frames }: Wire): number {
  return frames.filter(({ payload }) => payload.includes("PONG")).length
}

describe("RECEIVED", () => {
  it.each(["a key", "no key"])("reports nothing to a victim with %s for made-up ids", async (kind) => {
    const relay = await TestRelay.start()
    const victim = kind === "a key" ? await relay.enterAs(keys.ann, "ann") : await relay.enter("ann")
    const attacker = await relay.enter("mallory")
    const ids = Array.from({ length: 1_000 }, (_, n) => `${victim.id.slice(1)}.m${n}`)
    attacker.wire.say({ type: "RECEIVED", ids, retrieved: ids })
    await attacker.wire.settle()
    expect(await stagesFor(victim)).toEqual([])
  })

  it("reports nothing for a message that another agent got", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    const msgId = await post(ann, await relay.enterAs(keys.bob, "bob"))
    const { wire } = await relay.enter("mallory")
    wire.say({ type: "RECEIVED", ids: [msgId], retrieved: [msgId] })
    await wire.settle()
    expect(await stagesFor(ann)).toEqual([])
  })

  it("reports nothing for a message that another agent got before the relay started", async () => {
    const engine = await LastingEngine.make()
    const before = await TestRelay.start({ backbone: engine.lend() })
    const ann = await before.enterAs(keys.ann, "ann")
    const bob = await before.enterAs(keys.bob, "bob")
    const stored = await post(ann, bob)
    bob.wire.say({ type: "RECEIVED", ids: [stored] })
    await bob.wire.settle()
    const waiting = await post(ann, bob)
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const author = await relay.enterAs(keys.ann, "ann")
    const attacker = await relay.enterAs(keys.eve, "eve")
    const ids = [stored, waiting, `${stored}/mirrored/${bob.id}`, `${ann.id.slice(1)}.made-up`]
    attacker.wire.say({ type: "RECEIVED", ids, retrieved: ids })
    await attacker.wire.settle()
    expect(await stagesFor(author)).toEqual([])
  })

  it("reports each stage once, however often a client says so, and also after it connected again", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enter("ann")
    const bob = await relay.enterAs(keys.bob, "bob")
    const msgId = await post(ann, bob)
    const ids = Array.from({ length: 500 }, () => msgId)
    bob.wire.say({ type: "RECEIVED", ids }, { type: "RECEIVED", ids })
    await bob.wire.settle()
    const again = await relay.enterAs(keys.bob, "bob")
    for (let n = 0; n < 3; n++) again.wire.say({ type: "RECEIVED", ids, retrieved: ids })
    await again.wire.settle()
    expect(await stagesFor(ann)).toEqual(["mirrored", "retrieved"])
  })

  it("costs by its ids: a session that makes them up is read no faster than its requests", async () => {
    const relay = await TestRelay.start({ limits: { requestsPerSecond, requestBurst } })
    const { wire } = await relay.enter("mallory")
    const ids = Array.from({ length: 1_000 }, (_, n) => `0123456789abcdef.m${n}`)
    for (let n = 0; n < 20; n++) wire.say({ type: "RECEIVED", retrieved: ids })
    wire.say({ type: "PING", id: "last" })
    await (await relay.enter("other")).wire.settle()
    expect(pongs(wire)).toBe(0)
    for (let n = 0; n < 60 && pongs(wire) === 0; n++) {
      relay.clock.advance(1_000)
      await (await relay.enter("other")).wire.settle()
    }
    expect(pongs(wire)).toBe(1)
  })
})

describe("a refused frame", () => {
  it.each(["not JSON", { type: "NOTHING" }, { type: "MSG" }])("is counted: %j", async (frame) => {
    const relay = await TestRelay.start({ limits: { requestsPerSecond, requestBurst } })
    const { wire } = await relay.enter("mallory")
    for (let n = 0; n < 2_000; n++) wire.say(frame)
    wire.say({ type: "PING", id: "last" })
    for (let n = 0; n < 1_001; n++) await wire.next("ERROR")
    const other = await relay.enter("other")
    await other.wire.settle()
    expect(wire.frames.length).toBeLessThan(1_100)
    relay.clock.advance(1_000)
    await wire.next("ERROR")
  })
})

describe("a log", () => {
  it("counts a line that is repeated", () => {
    const clock = new FakeClock()
    const lines: string[] = []
    const log = countRepeats((line) => lines.push(line), clock)
    for (let n = 0; n < 6_000; n++) log("DELIVERY for @ann is lost: MAILBOX_FULL")
    log("stopped")
    clock.advance(60_000)
    log("stopped")
    expect(lines).toEqual([
      "DELIVERY for @ann is lost: MAILBOX_FULL",
      "stopped",
      "DELIVERY for @ann is lost: MAILBOX_FULL (5999 more times within a minute)",
      "stopped",
    ])
  })
})
