import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../../src/identity/keys.js"
import type { KeyPair } from "../../../src/identity/signer.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { LastingEngine } from "../../kit/engine.js"
import { prove, type TestAgent, TestRelay } from "../../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair() }

/** Connects a client that confirms notices. */
async function enter(relay: TestRelay, keyPair: KeyPair, name: string, role?: string): Promise<TestAgent> {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name, role, pubkey: formatDidKey(keyPair.publicKey), confirms_notices: true })
  wire.say(prove(await wire.next("CHALLENGE"), keyPair))
  const welcome = await wire.next("WELCOME")
  return { wire, id: welcome.agent_id, welcome }
}

/** Sends a message from ann to bob, who stores and reads it. @returns its id */
async function exchange(ann: TestAgent, bob: TestAgent): Promise<string | undefined> {
  const { msg_id } = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">
  await bob.wire.next("MSG")
  bob.wire.say({ type: "RECEIVED", ids: [msg_id] })
  bob.wire.say({ type: "RECEIVED", retrieved: [msg_id] })
  await bob.wire.settle()
  return msg_id
}

async function noticesOf({ wire }: TestAgent) {
  const messages = await wire.settle()
  return messages.filter((message) => message.type === "DELIVERY" || message.type === "INVITE")
}

const statesOf = (notices: Awaited<ReturnType<typeof noticesOf>>) =>
  notices.map((notice) => (notice.type === "DELIVERY" ? notice.state : notice.type))

describe("a stage that its author has not confirmed", () => {
  it.each([
    ["one relay", false],
    ["several relays", true],
  ])(
    "is sent again in the next session, and by a relay that starts on the store of %s",
    async (_name, isShared) => {
      const engine = await LastingEngine.make({ isShared })
      const relay = await TestRelay.start({ backbone: engine.lend() })
      const ann = await enter(relay, keys.ann, "ann")
      await exchange(ann, await enter(relay, keys.bob, "bob"))
      expect(statesOf(await noticesOf(ann))).toEqual(["mirrored", "retrieved"])
      const again = await enter(relay, keys.ann, "ann")
      expect(statesOf(await noticesOf(again))).toEqual(["mirrored", "retrieved"])
      const next = await TestRelay.start({ backbone: engine.lend() })
      const last = await enter(next, keys.ann, "ann")
      const notices = await noticesOf(last)
      expect(statesOf(notices)).toEqual(["mirrored", "retrieved"])
      const ids = notices.map((notice) => (notice.type === "DELIVERY" ? notice.mail_id : notice.msg_id))
      expect(new Set(ids).size).toBe(2)
      last.wire.say({ type: "RECEIVED", ids })
      await last.wire.settle()
      expect(await noticesOf(await enter(next, keys.ann, "ann"))).toEqual([])
    },
  )

  it.each([
    ["one relay", false],
    ["several relays", true],
  ])("is reported for a message that another life of %s delivered, once", async (_name, isShared) => {
    const engine = await LastingEngine.make({ isShared })
    const before = await TestRelay.start({ backbone: engine.lend() })
    const bob = await enter(before, keys.bob, "bob")
    const ann = await enter(before, keys.ann, "ann")
    const { msg_id } = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">
    bob.wire.say({ type: "RECEIVED", ids: [msg_id] })
    await bob.wire.settle()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const reader = await enter(relay, keys.bob, "bob")
    for (let n = 0; n < 3; n++) reader.wire.say({ type: "RECEIVED", retrieved: [msg_id] })
    await reader.wire.settle()
    expect(statesOf(await noticesOf(await enter(relay, keys.ann, "ann")))).toEqual(["mirrored", "retrieved"])
  })

  it("waits for an author that is away, and does not count as mail in PENDING", async () => {
    const relay = await TestRelay.start()
    const ann = await enter(relay, keys.ann, "ann")
    const bob = await enter(relay, keys.bob, "bob")
    const { msg_id } = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">
    ann.wire.socket.destroy()
    bob.wire.say({ type: "RECEIVED", ids: [msg_id] })
    await bob.wire.settle()
    expect(await bob.wire.ask({ type: "PENDING", target: ann.id })).toMatchObject({ count: 0, ids: [] })
    expect(statesOf(await noticesOf(await enter(relay, keys.ann, "ann")))).toEqual(["mirrored"])
  })

  it("waits while the store cannot be reached", async () => {
    const engine = await LastingEngine.make()
    const backbone = engine.lend()
    const relay = await TestRelay.start({ backbone })
    const ann = await enter(relay, keys.ann, "ann")
    const bob = await enter(relay, keys.bob, "bob")
    const { msg_id } = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">
    await bob.wire.next("MSG")
    backbone.setReachable(false)
    bob.wire.say({ type: "RECEIVED", ids: [msg_id], retrieved: [msg_id] })
    await bob.wire.settle()
    backbone.setReachable(true)
    relay.clock.advance(1_000)
    expect((await ann.wire.next("DELIVERY")).state).toBe("mirrored")
    expect((await ann.wire.next("DELIVERY")).state).toBe("retrieved")
  })

  it("counts as confirmed when it was sent to a client that does not confirm notices", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(keys.ann, "ann")
    await exchange(ann, await enter(relay, keys.bob, "bob"))
    const notices = await noticesOf(ann)
    expect(statesOf(notices)).toEqual(["mirrored", "retrieved"])
    for (const notice of notices) expect(notice).not.toHaveProperty("mail_id")
    expect(await noticesOf(await enter(relay, keys.ann, "ann"))).toEqual([])
  })

  it("is reported by the next relay if the one that granted a task is killed before it does", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const ann = await enter(relay, keys.ann, "ann")
    await enter(relay, keys.bob, "bob", "reviewer")
    await ann.wire.ask({ type: "MSG", to: "+reviewer", content: "x" })
    expect((await ann.wire.next("DELIVERY")).state).toBe("claimed")
    const next = await TestRelay.start({ backbone: engine.lend() })
    expect(statesOf(await noticesOf(await enter(next, keys.ann, "ann")))).toEqual(["claimed"])
  })
})

describe("an invitation", () => {
  it("waits for an agent that is away until it is confirmed, and its arrival is reported to nobody", async () => {
    const relay = await TestRelay.start()
    const bob = await enter(relay, keys.bob, "bob")
    bob.wire.socket.destroy()
    await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(1)
    const ann = await enter(relay, keys.ann, "ann")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#den", invite_only: true })
    await ann.wire.ask({ type: "INVITE", channel: "#den", agent: bob.id })
    for (let session = 0; session < 2; session++) {
      expect(statesOf(await noticesOf(await enter(relay, keys.bob, "bob")))).toEqual(["INVITE"])
    }
    const last = await enter(relay, keys.bob, "bob")
    const { msg_id } = await last.wire.next("INVITE")
    last.wire.say({ type: "RECEIVED", ids: [msg_id] })
    await last.wire.settle()
    expect(await noticesOf(await enter(relay, keys.bob, "bob"))).toEqual([])
    expect(await noticesOf(ann)).toEqual([])
  })
})
