import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { boss: generateKeyPair(), ann: generateKeyPair(), bob: generateKeyPair() }
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Creates channels at once. @returns how many were created */
async function createMany({ wire, id }: TestAgent, count: number): Promise<number> {
  const frames = Array.from({ length: count }, (_, n) => ({
    type: "CREATE_CHANNEL",
    channel: `#x${id.slice(1)}-${n}`,
    id: `create-${n}`,
  }))
  const answers = await Promise.all(frames.map((frame) => wire.answerTo(frame)))
  return answers.filter(({ type }) => type === "JOINED").length
}

/** Lets hours pass, one look for unused channels after another. */
function passHours(relay: TestRelay, hours: number): void {
  for (let n = 0; n < hours; n++) relay.clock.advance(hourMs)
}

async function exists(relay: TestRelay, channel: string): Promise<boolean> {
  const { wire } = await relay.enterAs(generateKeyPair(), "looker")
  const { relay: running } = relay
  const before = running.health()["channels"]
  const answer = await wire.ask({ type: "LIST_AGENTS", channel })
  expect(running.health()["channels"]).toBe(before)
  return answer.type === "AGENTS"
}

describe("the channels of a relay", () => {
  it("go to one address without keys up to a quarter, and a key still finds room", async () => {
    const relay = await TestRelay.start({ limits: { channels: 100 } })
    const sessions = await Promise.all(Array.from({ length: 5 }, (_, n) => relay.enter(`m${n}`)))
    const created = await Promise.all(sessions.map((session) => createMany(session, 20)))
    expect(created.reduce((sum, count) => sum + count, 0)).toBe(25)
    const ann = await relay.enterAs(keys.ann, "ann")
    expect(await createMany(ann, 40)).toBe(16)
    expect(await createMany(await relay.enterAs(keys.bob, "bob"), 1)).toBe(1)
  })

  it("are found full by an origin also while the store is slow", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ limits: { channels: 20 }, backbone: engine.lend() })
    const sessions = await Promise.all(Array.from({ length: 10 }, (_, n) => relay.enter(`m${n}`)))
    const created = await Promise.all(sessions.map((session) => createMany(session, 1)))
    expect(created.reduce((sum, count) => sum + count, 0)).toBe(5)
  })

  it("count for their maker after a restart too", async () => {
    const engine = await LastingEngine.make()
    const limits = { channels: 12 }
    const first = await TestRelay.start({ limits, backbone: engine.lend() })
    expect(await createMany(await first.enterAs(keys.ann, "ann"), 5)).toBe(3)
    await first.stop()
    const second = await TestRelay.start({ limits, backbone: engine.lend() })
    const ann = await second.enterAs(keys.ann, "ann")
    expect(await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#more" })).toMatchObject({
      code: "LIMIT_REACHED",
    })
    const bob = await second.enterAs(keys.bob, "bob")
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#more" })).toMatchObject({ type: "JOINED" })
  })

  it("are durable only if an agent with a key makes them", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const eve = await relay.enter("eve")
    expect(await eve.wire.ask({ type: "CREATE_CHANNEL", channel: "#for-good", durable: true })).toMatchObject(
      { code: "IDENTITY_REQUIRED" },
    )
  })

  it("end within hours if a session without a key made them and nobody may come back", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve")
    await eve.wire.ask({ type: "CREATE_CHANNEL", channel: "#taken" })
    const bob = await relay.enterAs(keys.bob, "bob")
    await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#ours" })
    for (const { wire } of [eve, bob]) wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(2)
    passHours(relay, 4)
    expect(await exists(relay, "#taken")).toBe(false)
    expect(await exists(relay, "#ours")).toBe(true)
  })

  it("that are durable end after 30 days without members and messages", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const ann = await relay.enterAs(keys.ann, "ann")
    for (const channel of ["#unused", "#used"])
      await ann.wire.ask({ type: "CREATE_CHANNEL", channel, durable: true })
    ann.wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(1)
    passHours(relay, (29 * dayMs) / hourMs)
    const bob = await relay.enterAs(keys.bob, "bob")
    await bob.wire.ask({ type: "MSG", to: "#used", content: "still needed" })
    passHours(relay, (2 * dayMs) / hourMs)
    expect(await exists(relay, "#unused")).toBe(false)
    expect(await exists(relay, "#used")).toBe(true)
  })

  it("end when an operator removes them, whoever is in them, at every relay of a store", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const operators = [formatDidKey(keys.boss.publicKey)]
    const clock = new FakeClock()
    const east = await TestRelay.start({ backbone: engine.lend(), operators, clock })
    const west = await TestRelay.start({ backbone: engine.lend(), operators, clock })
    const ann = await east.enterAs(keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#spam", durable: true, invite_only: true })
    const bob = await west.enterAs(keys.bob, "bob")
    await ann.wire.ask({ type: "INVITE", channel: "#spam", agent: bob.id })
    expect(await bob.wire.ask({ type: "JOIN", channel: "#spam" })).toMatchObject({ type: "JOINED" })
    const remove = { type: "REMOVE_CHANNEL", channel: "#spam" }
    expect(await bob.wire.ask(remove)).toMatchObject({ code: "OPERATOR_REQUIRED" })
    const boss = await west.enterAs(keys.boss, "boss")
    expect(await boss.wire.ask({ ...remove, channel: "#general" })).toMatchObject({ code: "UNSUPPORTED" })
    expect(await boss.wire.ask(remove)).toMatchObject({ type: "ACK" })
    for (const { wire } of [ann, bob]) {
      expect(await wire.next("LEFT")).toMatchObject({ channel: "#spam" })
      expect(await wire.ask({ type: "JOIN", channel: "#spam" })).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    }
    expect(await bob.wire.ask({ type: "CREATE_CHANNEL", channel: "#spam" })).toMatchObject({ seq: 0 })
  })
})
