import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import { isSignedBy, signWakeLease, type WakeClaims } from "../../src/identity/wake-lease.js"
import type { RosterEntry, ServerMessage } from "../../src/protocol/server-messages.js"
import { maxLeaseMs } from "../../src/protocol/wake.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair() }

/** A lease of bob for `relay` that was proven now. */
function leaseFor(
  relay: TestRelay,
  { welcome }: TestAgent,
  change: Partial<WakeClaims> = {},
  key = keys.bob,
) {
  const now = relay.clock.now()
  const times = { proven_ts: now, expires_ts: now + 60_000 }
  return signWakeLease(
    { aud: welcome.server_id, method: "claude-socket", latency_ms: 80, ...times, ...change },
    key,
  )
}

async function entryOf({ wire }: TestAgent, id: string): Promise<RosterEntry | undefined> {
  const answer = (await wire.ask({ type: "LIST_AGENTS", agent: id })) as ServerMessage<"AGENTS">
  return answer.roster[0]
}

async function room() {
  const relay = await TestRelay.start()
  return { relay, ann: await relay.enterAs(keys.ann, "ann"), bob: await relay.enterAs(keys.bob, "bob") }
}

describe("a wake lease", () => {
  it("is shown in the roster as its agent signed it, until it expires or is withdrawn", async () => {
    const { relay, ann, bob } = await room()
    const lease = leaseFor(relay, bob)
    expect(await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })).toMatchObject({ state: "done" })
    expect((await entryOf(ann, bob.id))?.wakeable).toEqual(lease)
    expect(isSignedBy(lease, bob.id, ann.welcome.server_id)).toBe(true)
    await bob.wire.ask({ type: "SET_WAKE_LEASE" })
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("wakeable")
    await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })
    relay.clock.advance(60_000)
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("wakeable")
  })

  it.each([
    ["of another key", {}, keys.ann, "VERIFICATION_FAILED"],
    ["for another relay", { aud: "elsewhere" }, keys.bob, "VERIFICATION_FAILED"],
    ["that has expired", { proven_ts: 1, expires_ts: 2 }, keys.bob, "INVALID_MSG"],
    ["from the future", { proven_ts: 9e15, expires_ts: 9e15 + 1 }, keys.bob, "INVALID_MSG"],
    ["of more than 6 hours", { expires_ts: 1_800_000_000_001 + maxLeaseMs }, keys.bob, "INVALID_MSG"],
    ["without a method", { method: "" }, keys.bob, "INVALID_MSG"],
  ])("%s is refused", async (_name, change, key, code) => {
    const { relay, ann, bob } = await room()
    const lease = leaseFor(relay, bob, change, key)
    expect(await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })).toMatchObject({ type: "ERROR", code })
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("wakeable")
  })

  it("whose latency was changed after it was signed is refused", async () => {
    const { relay, bob } = await room()
    const lease = { ...leaseFor(relay, bob), latency_ms: 1 }
    expect(await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })).toMatchObject({
      code: "VERIFICATION_FAILED",
    })
  })

  it("is refused from an agent without a key", async () => {
    const { relay, bob } = await room()
    const eve = await relay.enter("eve")
    expect(await eve.wire.ask({ type: "SET_WAKE_LEASE", lease: leaseFor(relay, bob) })).toMatchObject({
      code: "IDENTITY_REQUIRED",
    })
  })

  it("ends with the session of its agent", async () => {
    const { relay, ann, bob } = await room()
    await bob.wire.ask({ type: "SET_WAKE_LEASE", lease: leaseFor(relay, bob) })
    bob.wire.socket.destroy()
    await expect.poll(async () => (await entryOf(ann, bob.id))?.status).toBe("offline")
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("wakeable")
    await relay.enterAs(keys.bob, "bob")
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("wakeable")
  })

  it("is shown by other relays of the same chat, too", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const other = await TestRelay.start({ backbone: engine.lend(), clock: relay.clock })
    const bob = await relay.enterAs(keys.bob, "bob")
    const ann = await other.enterAs(keys.ann, "ann")
    const lease = leaseFor(relay, bob)
    await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", attention: "focus" })
    relay.clock.advance(100)
    await expect.poll(async () => (await entryOf(ann, bob.id))?.attention).toBe("focus")
    expect((await entryOf(ann, bob.id))?.wakeable).toEqual(lease)
  })
})

describe("the attention of an agent", () => {
  it("stays until it is set again, over its sessions, and is not shown while it is open", async () => {
    const { relay, ann, bob } = await room()
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", attention: "dnd" })
    await bob.wire.ask({ type: "SET_PRESENCE", status: "working" })
    const again = await relay.enterAs(keys.bob, "bob")
    expect(await entryOf(ann, bob.id)).toMatchObject({ attention: "dnd" })
    await again.wire.ask({ type: "SET_PRESENCE", status: "idle", attention: "open" })
    expect(await entryOf(ann, bob.id)).not.toHaveProperty("attention")
  })
})

describe("the stages rung and in_context", () => {
  async function post(ann: TestAgent, bob: TestAgent): Promise<string> {
    const { msg_id } = (await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">
    await bob.wire.next("MSG")
    return String(msg_id)
  }
  const stagesFor = async ({ wire }: TestAgent) =>
    (await wire.settle()).flatMap((message) =>
      message.type === "DELIVERY" ? [[message.state, message.by, message.method]] : [],
    )

  it("are reported with their method, each once, and in_context brings retrieved with it", async () => {
    const { ann, bob } = await room()
    const id = await post(ann, bob)
    const rung = { type: "RECEIVED", rung: [id], method: "codex-queue" }
    const read = { type: "RECEIVED", in_context: [id], method: "hook" }
    bob.wire.say(rung, rung, read, read, rung)
    await bob.wire.settle()
    expect(await stagesFor(ann)).toEqual([
      ["rung", bob.id, "codex-queue"],
      ["retrieved", bob.id, undefined],
      ["in_context", bob.id, "hook"],
    ])
  })

  it("are reported for no message that the relay did not send to this agent", async () => {
    const { relay, ann, bob } = await room()
    const id = await post(ann, bob)
    const mallory = await relay.enterAs(generateKeyPair(), "mallory")
    const ids = [id, `${ann.id.slice(1)}.madeup`]
    mallory.wire.say({ type: "RECEIVED", rung: ids, in_context: ids, method: "hook" })
    await mallory.wire.settle()
    bob.wire.say({ type: "RECEIVED", rung: [ids[1]], in_context: [ids[1]], method: "hook" })
    await bob.wire.settle()
    expect(await stagesFor(ann)).toEqual([])
  })

  it("a message that was read is not reported as rung", async () => {
    const { ann, bob } = await room()
    const id = await post(ann, bob)
    bob.wire.say({ type: "RECEIVED", retrieved: [id] }, { type: "RECEIVED", rung: [id], method: "wait" })
    await bob.wire.settle()
    expect(await stagesFor(ann)).toEqual([["retrieved", bob.id, undefined]])
  })
})

describe("the ACK of a direct message", () => {
  it("says whether its target reads: status, unread messages, last reading and lease", async () => {
    const { relay, ann, bob } = await room()
    const send = async () =>
      ((await ann.wire.ask({ type: "MSG", to: bob.id, content: "x" })) as ServerMessage<"ACK">).target
    await send()
    const { msg_id } = await bob.wire.next("MSG")
    expect(await send()).toMatchObject({ status: "idle", seen_ts: relay.clock.now(), unread: 2 })
    bob.wire.say({ type: "RECEIVED", ids: [msg_id], retrieved: [msg_id] })
    const lease = leaseFor(relay, bob)
    await bob.wire.ask({ type: "SET_WAKE_LEASE", lease })
    expect(await send()).toMatchObject({ unread: 2, read_ts: relay.clock.now(), wakeable: lease })
    bob.wire.socket.destroy()
    await expect.poll(async () => (await send())?.status).toBe("offline")
    const target = await send()
    expect(target).not.toHaveProperty("wakeable")
    expect(target?.unread).toBeGreaterThan(2)
  })

  it("says nothing about a target when the message is sent again", async () => {
    const { ann, bob } = await room()
    const frame = { type: "MSG", to: bob.id, content: "x", id: "m1" }
    expect(await ann.wire.answerTo(frame)).toHaveProperty("target")
    expect(await ann.wire.answerTo(frame)).not.toHaveProperty("target")
  })
})
