import { describe, expect, it } from "vitest"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const kibibyte = 1024
const ann = generateKeyPair()

/** Connects an agent with a key and disconnects it. @returns its id */
async function gone(relay: TestRelay, keyPair: KeyPair, name: string): Promise<string> {
  const { wire, id } = await relay.enterAs(keyPair, name)
  const before = leavers(relay)
  wire.socket.destroy()
  await expect.poll(() => leavers(relay)).toBe(before + 1)
  return id
}

const leavers = (relay: TestRelay) => relay.log.filter((line) => line.startsWith("left:")).length

async function post({ wire }: TestAgent, to: string, bytes = 1): Promise<ServerMessage> {
  return wire.ask({ type: "MSG", to, content: "x".repeat(bytes) })
}

/** Posts until the relay refuses. @returns how many messages it accepted */
async function flood(from: TestAgent, to: string, bytes = 1, most = 2_000): Promise<number> {
  for (let n = 0; n < most; n++) {
    const answer = await post(from, to, bytes)
    if (answer.type === "ACK") continue
    expect(answer).toMatchObject({ code: "MAILBOX_FULL" })
    return n
  }
  return most
}

describe("a mailbox", () => {
  it("gives one sender a quarter, and a new one finds room next to 20 greedy ones", async () => {
    const relay = await TestRelay.start({ limits: { mailboxMessages: 200 } })
    const to = await gone(relay, ann, "ann")
    expect(await flood(await relay.enterAs(generateKeyPair(), "mallory"), to)).toBe(50)
    for (let n = 0; n < 20; n++) await flood(await relay.enterAs(generateKeyPair(), `m${n}`), to)
    const honest = await relay.enterAs(generateKeyPair(), "honest")
    expect(await post(honest, to)).toMatchObject({ type: "ACK" })
  })

  it("gives one sender a quarter of its bytes", async () => {
    const relay = await TestRelay.start()
    const to = await gone(relay, ann, "ann")
    const mallory = await relay.enterAs(generateKeyPair(), "mallory")
    const accepted = await flood(mallory, to, 200 * kibibyte)
    expect(accepted).toBe(20)
    expect(await post(await relay.enterAs(generateKeyPair(), "honest"), to)).toMatchObject({ type: "ACK" })
  })

  it("has room again once its owner has confirmed what a sender left", async () => {
    const relay = await TestRelay.start({ limits: { mailboxMessages: 16 } })
    const to = await gone(relay, ann, "ann")
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    expect(await flood(bob, to)).toBe(4)
    const { wire } = await relay.enterAs(ann, "ann")
    const ids = (await wire.settle()).flatMap((message) => (message.type === "MSG" ? [message.msg_id] : []))
    wire.say({ type: "RECEIVED", ids })
    await wire.settle()
    wire.socket.destroy()
    await expect.poll(() => leavers(relay)).toBe(2)
    expect(await flood(bob, to)).toBe(4)
  })

  it("keeps its second half free of news about stages", async () => {
    const relay = await TestRelay.start({ limits: { mailboxMessages: 40 } })
    const keyPair = generateKeyPair()
    const author = await relay.enterAs(keyPair, "author")
    const reader = await relay.enterAs(ann, "ann")
    const ids: (string | undefined)[] = []
    for (let n = 0; n < 40; n++) ids.push(((await post(author, reader.id)) as ServerMessage<"ACK">).msg_id)
    author.wire.socket.destroy()
    await expect.poll(() => leavers(relay)).toBe(1)
    reader.wire.say({ type: "RECEIVED", ids, retrieved: ids })
    await reader.wire.settle()
    const senders = await Promise.all([1, 2].map((n) => relay.enterAs(generateKeyPair(), `s${n}`)))
    for (const sender of senders) expect(await flood(sender, author.id)).toBeGreaterThanOrEqual(4)
    const again = await relay.enterAs(keyPair, "author")
    const news = (await again.wire.settle()).filter(({ type }) => type === "DELIVERY")
    expect(news).toHaveLength(20)
  })
})

describe("all mailboxes together", () => {
  const limits = { mailTotalBytes: 1024 * kibibyte }

  it("take 64 KiB from all agents without a key at one address", async () => {
    const relay = await TestRelay.start()
    const to = await gone(relay, ann, "ann")
    let accepted = 0
    for (let n = 0; n < 20; n++) accepted += await flood(await relay.enter(`guest${n}`), to, kibibyte)
    expect(accepted).toBeGreaterThan(40)
    expect(accepted).toBeLessThan(64)
    const key = await relay.enterAs(generateKeyPair(), "key")
    expect(await post(key, to, 10 * kibibyte)).toMatchObject({ type: "ACK" })
  })

  it("are never so full that two agents who are online cannot talk, with keys or without", async () => {
    const relay = await TestRelay.start({ limits })
    for (let n = 0; n < 12; n++) {
      const mallory = await relay.enterAs(generateKeyPair(), `m${n}`)
      for (let box = 0; box < 6; box++)
        await flood(mallory, `@${String(box).padStart(16, "0")}`, 20 * kibibyte)
    }
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    const eve = await relay.enterAs(generateKeyPair(), "eve")
    const guest = await relay.enter("guest")
    for (const [from, to] of [
      [bob, eve],
      [eve, bob],
      [guest, eve],
      [bob, guest],
    ] as const) {
      expect(await post(from, to.id, 10 * kibibyte)).toMatchObject({ type: "ACK" })
      await to.wire.next("MSG")
    }
    expect(await post(bob, await gone(relay, ann, "ann"))).toMatchObject({ type: "ACK" })
  })

  it("are counted in a store too, also after a restart", async () => {
    const engine = await LastingEngine.make()
    const storedLimits = { storedMailTotalBytes: 1024 * kibibyte, mailTotalBytes: 1024 * kibibyte }
    const first = await TestRelay.start({ backbone: engine.lend(), limits: storedLimits })
    const to = await gone(first, ann, "ann")
    const accepted = await flood(await first.enterAs(generateKeyPair(), "m"), to, 20 * kibibyte)
    expect(accepted).toBe(12)
    const next = await TestRelay.start({ backbone: engine.lend(), limits: storedLimits })
    expect(await flood(await next.enterAs(generateKeyPair(), "m"), to, 20 * kibibyte)).toBeLessThan(10)
  })

  it("expire after 30 days", async () => {
    const relay = await TestRelay.start()
    const to = await gone(relay, ann, "ann")
    await post(await relay.enterAs(generateKeyPair(), "bob"), to)
    relay.clock.advance(defaultLimits.mailMs + 1)
    const { wire } = await relay.enterAs(ann, "ann")
    expect(await wire.settle()).toEqual([])
  })
})

describe("agents on one machine", () => {
  it("may leave each other mail: 50 with keys and 20 without", async () => {
    const relay = await TestRelay.start()
    const to = await gone(relay, ann, "ann")
    for (let n = 0; n < 50; n++) {
      const agent = await relay.enterAs(generateKeyPair(), `agent${n}`)
      for (let m = 0; m < 5; m++) expect(await post(agent, to, 500)).toMatchObject({ type: "ACK" })
    }
    for (let n = 0; n < 20; n++) {
      expect(await post(await relay.enter(`guest${n}`), to, 500)).toMatchObject({ type: "ACK" })
    }
  })
})

describe("the first frame of a session", () => {
  it("may not cost more than the burst", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 1 } })
    const { wire } = await relay.enter("mallory", "#general")
    const large = { type: "MSG", to: "#general", content: "x".repeat(200 * kibibyte) }
    const refused = await wire.ask(large)
    expect(refused).toMatchObject({ code: "RATE_LIMITED" })
    relay.clock.advance((refused as ServerMessage<"ERROR">).retry_after_ms ?? 0)
    expect(await wire.ask(large)).toMatchObject({ type: "ACK" })
  })
})
