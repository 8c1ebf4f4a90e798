import { describe, expect, it } from "vitest"
import { agentIdOf, formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import { type Rotation, signRotation } from "../../src/identity/succession.js"
import type { AgentId, Nick } from "../../src/protocol/names.js"
import { Roster } from "../../src/server/roster/roster.js"
import { departedRecord, formatRecord, parseRecord } from "../../src/server/roster/roster-record.js"
import { SessionRegistry } from "../../src/server/sessions/session-registry.js"
import { LastingEngine } from "../kit/engine.js"
import { prove, TestRelay } from "../kit/relay.js"

const [first, second, third, evil] = [1, 2, 3, 4].map(generateKeyPair) as [KeyPair, KeyPair, KeyPair, KeyPair]
const rotation = (from: KeyPair, to: KeyPair) => signRotation(from, to, 1_800_000_000_000)

/** Connects as `keyPair`, which replaced earlier keys. @returns the connection and the relay's answer */
async function enterAfter(relay: TestRelay, keyPair: KeyPair, rotations: readonly Rotation[]) {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(keyPair.publicKey) })
  wire.say({ ...prove(await wire.next("CHALLENGE"), keyPair), rotations })
  return wire
}

describe("an agent whose key was rotated", () => {
  it("gets the mail, the name and the new messages of its earlier ids", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const old = await relay.enterAs(first, "alice")
    old.wire.socket.destroy()
    await bob.wire.ask({ type: "MSG", to: old.id, content: "waits" })
    const wire = await enterAfter(relay, third, [rotation(first, second), rotation(second, third)])
    await wire.next("WELCOME")
    expect(await wire.next("MSG")).toMatchObject({ content: "waits" })
    for (const to of [old.id, "@alice"]) {
      expect(await bob.wire.ask({ type: "MSG", to, content: `to ${to}` })).toMatchObject({ type: "ACK" })
      expect(await wire.next("MSG")).toMatchObject({ content: `to ${to}` })
    }
  })

  it("ends the session of its earlier key", async () => {
    const relay = await TestRelay.start()
    const old = await relay.enterAs(first, "alice")
    const wire = await enterAfter(relay, second, [rotation(first, second)])
    await wire.next("WELCOME")
    await old.wire.next("SESSION_DISPLACED")
  })

  it("keeps its task, and its worker answers the task", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(evil, "bob")
    const old = await relay.enterAs(first, "alice")
    await old.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    await bob.wire.ask({ type: "MSG", to: "+reviewer", content: "read it" })
    const { task } = await old.wire.next("TASK")
    const wire = await enterAfter(relay, second, [rotation(first, second)])
    await wire.next("WELCOME")
    expect(await wire.ask({ type: "DONE", task, content: "read" })).toMatchObject({ type: "ACK" })
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "read", in_reply_to: task })
    expect(await wire.next("TASK")).toMatchObject({ task })
  })

  it("gets the answer to a task that it asked for with an earlier key", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(evil, "bob")
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const old = await relay.enterAs(first, "alice")
    await old.wire.ask({ type: "MSG", to: "+reviewer", content: "read it" })
    const { task } = await bob.wire.next("TASK")
    const wire = await enterAfter(relay, second, [rotation(first, second)])
    await wire.next("WELCOME")
    await bob.wire.ask({ type: "DONE", task, content: "read" })
    expect(await wire.next("MSG")).toMatchObject({ content: "read", in_reply_to: task })
  })

  it("sees which of the messages of its earlier key still wait", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(evil, "bob")
    bob.wire.socket.destroy()
    const old = await relay.enterAs(first, "alice")
    const { msg_id } = (await old.wire.ask({ type: "MSG", to: bob.id, content: "hi" })) as { msg_id?: string }
    const wire = await enterAfter(relay, second, [rotation(first, second)])
    await wire.next("WELCOME")
    expect(await wire.ask({ type: "PENDING", target: bob.id })).toMatchObject({ ids: [msg_id] })
  })

  it("gets at once what a relay that does not know of the new key yet posts to the old one", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const east = await TestRelay.start({ backbone: engine.lend() })
    const lent = engine.lend()
    const west = await TestRelay.start({ backbone: lent })
    const old = await east.enterAs(first, "alice")
    old.wire.socket.destroy()
    const bob = await west.enterAs(evil, "bob")
    lent.setLate(true)
    const wire = await enterAfter(east, second, [rotation(first, second)])
    await wire.next("WELCOME")
    await bob.wire.ask({ type: "MSG", to: old.id, content: "late" })
    expect(await wire.next("MSG")).toMatchObject({ content: "late" })
  })

  it("is known by its earlier ids from the record that a store keeps", () => {
    const roster = new Roster(new SessionRegistry())
    const [oldest, old, id] = [first, second, third].map(({ publicKey }) => agentIdOf(publicKey)) as [
      AgentId,
      AgentId,
      AgentId,
    ]
    const record = departedRecord(
      { id, name: "alice" as Nick, status: "idle", since: 1, seenTs: 1, formerly: [oldest, old] },
      "000000000000001-00000000",
      1,
    )
    const stored = parseRecord(id.slice(1), formatRecord(record))
    expect(stored).toBeDefined()
    if (stored !== undefined) roster.set(stored)
    expect([oldest, old, id].map((each) => roster.currentId(each))).toEqual([id, id, id])
  })

  it.each<[string, readonly Rotation[]]>([
    ["leads to another key", [rotation(first, second)]],
    ["has a gap", [rotation(first, second), rotation(evil, third)]],
    [
      "is signed by the old key twice",
      [
        {
          ...rotation(first, third),
          sigs: [0, 0].map(() => rotation(first, third).sigs[0]) as unknown as Rotation["sigs"],
        },
      ],
    ],
    [
      "has one signature",
      [{ ...rotation(first, third), sigs: [rotation(first, third).sigs[0]] as unknown as Rotation["sigs"] }],
    ],
    ["was changed", [{ ...rotation(first, third), ts: 1 }]],
  ])("is refused if its chain of rotations %s", async (_, rotations) => {
    const relay = await TestRelay.start()
    const wire = await enterAfter(relay, third, rotations)
    expect(await wire.next("ERROR")).toMatchObject({ code: "VERIFICATION_FAILED" })
  })

  it("takes over nothing if another key has replaced its earlier key before", async () => {
    const relay = await TestRelay.start({ operators: [formatDidKey(first.publicKey)] })
    const owner = await enterAfter(relay, second, [rotation(first, second)])
    await owner.next("WELCOME")
    const thief = await enterAfter(relay, evil, [rotation(first, evil)])
    await thief.next("WELCOME")
    expect(await owner.ask({ type: "RESET_GUARD" })).toMatchObject({ type: "ACK" })
    expect(await thief.ask({ type: "RESET_GUARD" })).toMatchObject({ code: "OPERATOR_REQUIRED" })
    const bob = await relay.enter("bob")
    await bob.wire.ask({ type: "MSG", to: agentIdOf(first.publicKey), content: "for the owner" })
    expect(await owner.next("MSG")).toMatchObject({ content: "for the owner" })
  })
})
