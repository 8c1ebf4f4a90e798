import { describe, expect, it, onTestFinished } from "vitest"
import { AgentChatClient } from "../../src/client/client.js"
import { agentIdOf, formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import { signRevocation, signRotation } from "../../src/identity/succession.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeRelay } from "../kit/fake-relay.js"
import { newIdentity } from "../kit/identity.js"
import { prove, TestRelay } from "../kit/relay.js"

const ts = 1_800_000_000_000
const [first, second, evil, other] = [1, 2, 3, 4].map(generateKeyPair) as [KeyPair, KeyPair, KeyPair, KeyPair]
const revocation = signRevocation(first, ts, "laptop lost")
const rotation = signRotation(first, second, ts)

/** @returns the relay's answer to the first frame of a session of `keyPair` */
async function identify(relay: TestRelay, keyPair: KeyPair) {
  const wire = await relay.connect()
  return wire.ask({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(keyPair.publicKey) })
}

describe("a key that was revoked", () => {
  it("loses its session on every relay, and gets no other one, even on relays started afterwards", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const east = await TestRelay.start({ backbone: engine.lend() })
    const west = await TestRelay.start({ backbone: engine.lend() })
    const alice = await west.enterAs(first, "alice")
    const bob = await east.enter("bob")
    expect(await bob.wire.ask({ type: "KEY_STATEMENT", statement: revocation })).toMatchObject({
      type: "ACK",
    })
    expect(await alice.wire.next("ERROR")).toMatchObject({ code: "KEY_ENDED", key_end: revocation })
    expect(await alice.wire.ended()).toBeDefined()
    const later = await TestRelay.start({ backbone: engine.lend() })
    for (const relay of [east, west, later]) {
      expect(await identify(relay, first)).toMatchObject({ code: "KEY_ENDED", key_end: revocation })
    }
  })

  it("is refused although its proof was asked for before the revocation", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(first.publicKey) })
    const challenge = await wire.next("CHALLENGE")
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: revocation })
    wire.say(prove(challenge, first))
    expect(await wire.next("ERROR")).toMatchObject({ code: "KEY_ENDED" })
  })

  it("gets no mail, and leaves its name and its tasks to others", async () => {
    const relay = await TestRelay.start()
    const alice = await relay.enterAs(first, "alice")
    await alice.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const bob = await relay.enterAs(other, "bob")
    await bob.wire.ask({ type: "MSG", to: "+reviewer", content: "read it" })
    const { task } = await alice.wire.next("TASK")
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: revocation })
    await alice.wire.ended()
    const next = await relay.enterAs(second, "alice")
    await next.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    expect(await next.wire.next("TASK")).toMatchObject({ task })
    expect(await bob.wire.ask({ type: "MSG", to: alice.id, content: "x" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
      message: `to: ${alice.id} has ended: its key was revoked`,
    })
    expect(await bob.wire.ask({ type: "MSG", to: "@alice", content: "x" })).toMatchObject({ to: next.id })
  })

  it("gives a thief that replaced it neither its mail nor its office, before and after", async () => {
    const relay = await TestRelay.start({ operators: [formatDidKey(first.publicKey)] })
    const bob = await relay.enter("bob")
    const thief = await relay.connect()
    thief.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(evil.publicKey) })
    thief.say({ ...prove(await thief.next("CHALLENGE"), evil), rotations: [signRotation(first, evil, ts)] })
    await thief.next("WELCOME")
    expect(await thief.ask({ type: "RESET_GUARD" })).toMatchObject({ type: "ACK" })
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: revocation })
    expect(await thief.ask({ type: "RESET_GUARD" })).toMatchObject({ code: "OPERATOR_REQUIRED" })
    expect(await bob.wire.ask({ type: "MSG", to: agentIdOf(first.publicKey), content: "x" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
    const again = await relay.connect()
    again.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(evil.publicKey) })
    again.say({ ...prove(await again.next("CHALLENGE"), evil), rotations: [signRotation(first, evil, ts)] })
    await again.next("WELCOME")
    expect(await again.ask({ type: "RESET_GUARD" })).toMatchObject({ code: "OPERATOR_REQUIRED" })
  })

  it("makes a client stop, and only if the relay proves it", async () => {
    const identity = newIdentity()
    const own = signRevocation(identity.keyPair, ts)
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: own })
    const connect = async (server: string) => {
      const client = new AgentChatClient({ server, name: "alice", identity })
      onTestFinished(() => client.disconnect())
      await client.connect()
    }
    await expect(connect(relay.relay.url)).rejects.toMatchObject({ code: "BAD_IDENTITY" })
    for (const key_end of [undefined, { ...own, ts: 1 }, signRevocation(evil, ts)]) {
      const refusal = { type: "ERROR", code: "KEY_ENDED", message: "ended", key_end }
      const liar = await FakeRelay.start({ answers: { IDENTIFY: () => refusal } })
      await expect(connect(liar.url)).rejects.toMatchObject({ code: "KEY_ENDED" })
    }
  })
})

describe("a key that was replaced", () => {
  it("is refused with the statement that names its successor, whose mail it was", async () => {
    const relay = await TestRelay.start()
    const alice = await relay.enterAs(first, "alice")
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: rotation })
    expect(await alice.wire.next("ERROR")).toMatchObject({ code: "KEY_ENDED", key_end: rotation })
    await alice.wire.ended()
    expect(await identify(relay, first)).toMatchObject({ code: "KEY_ENDED" })
    await bob.wire.ask({ type: "MSG", to: alice.id, content: "to the old id" })
    const next = await relay.connect()
    next.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(second.publicKey) })
    next.say({ ...prove(await next.next("CHALLENGE"), second), rotations: [rotation] })
    await next.next("WELCOME")
    expect(await next.next("MSG")).toMatchObject({ content: "to the old id" })
  })

  it("keeps its first successor, also on a relay that starts later; a revocation counts more", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: rotation })
    await bob.wire.ask({ type: "KEY_STATEMENT", statement: signRotation(first, evil, ts - 1) })
    expect(await identify(relay, first)).toMatchObject({ key_end: rotation })
    await relay.stop()
    const later = await TestRelay.start({ backbone: engine.lend() })
    expect(await identify(later, first)).toMatchObject({ key_end: rotation })
    const ann = await later.enter("ann")
    await ann.wire.ask({ type: "KEY_STATEMENT", statement: revocation })
    await ann.wire.ask({ type: "KEY_STATEMENT", statement: rotation })
    expect(await identify(later, first)).toMatchObject({ key_end: revocation })
  })

  it("is known as such by every relay that saw its successor, after all of them were started again", async () => {
    const engine = await LastingEngine.make()
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(second.publicKey) })
    wire.say({ ...prove(await wire.next("CHALLENGE"), second), rotations: [rotation] })
    await wire.next("WELCOME")
    await wire.settle()
    await relay.stop()
    const later = await TestRelay.start({ backbone: engine.lend() })
    expect(await identify(later, first)).toMatchObject({ code: "KEY_ENDED", key_end: rotation })
  })
})

describe("KEY_STATEMENT", () => {
  it.each([
    ["another time", { ...revocation, ts: 1 }],
    ["another key", { ...revocation, from: formatDidKey(second.publicKey) }],
    ["another reason", { ...revocation, reason: "other" }],
    ["one signature", { ...rotation, sigs: [rotation.sigs[0]] }],
    ["the signatures of others", { ...rotation, sigs: signRotation(evil, other, ts).sigs }],
  ])("with %s ends nothing", async (_, statement) => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    expect(await bob.wire.ask({ type: "KEY_STATEMENT", statement })).toMatchObject({
      code: "VERIFICATION_FAILED",
    })
    expect(await identify(relay, first)).toMatchObject({ type: "CHALLENGE" })
  })
})
