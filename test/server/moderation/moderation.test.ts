import { describe, expect, it } from "vitest"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import { auditFaults, signModeration } from "../../../src/identity/moderation.js"
import { generateKeyPair, type KeyPair } from "../../../src/identity/signer.js"
import { signRotation } from "../../../src/identity/succession.js"
import { type AuditEntry, type Moderation, moderationActions } from "../../../src/protocol/moderation.js"
import type { Channel } from "../../../src/protocol/names.js"
import { LastingEngine } from "../../kit/engine.js"
import { prove, type TestAgent, TestRelay } from "../../kit/relay.js"

const [chief, deputy, stranger] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
/** A key, and the one that replaces it. */
const [worker, next] = [generateKeyPair(), generateKeyPair()]
const operators = [chief, deputy].map(({ publicKey }) => formatDidKey(publicKey))
const general = "#general" as Channel
const workerId = agentIdOf(worker.publicKey)
let ids = 0

type Facts = Partial<Omit<Moderation, "action">> & Pick<Moderation, "action">

function signed(relay: TestRelay, facts: Facts, keyPair = chief): Moderation {
  const own = { id: `action-${ids++}`, aud: relay.relay.serverId, reason: "spam", ts: relay.clock.now() }
  return signModeration({ ...own, ...facts }, keyPair)
}

/** Has an operator carry out an action. @returns the relay's answer */
async function act(by: TestAgent, relay: TestRelay, facts: Facts, keyPair = chief) {
  return by.wire.ask({ type: "MODERATE", statement: signed(relay, facts, keyPair) })
}

async function startWithOperator(options = {}) {
  const relay = await TestRelay.start({ operators, ...options })
  return { relay, op: await relay.enterAs(chief, "op") }
}

/** Connects with a new key that replaces one. */
async function enterRotated(relay: TestRelay, from: KeyPair, to: KeyPair) {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name: "bob", pubkey: formatDidKey(to.publicKey) })
  wire.say({ ...prove(await wire.next("CHALLENGE"), to), rotations: [signRotation(from, to, 1)] })
  await wire.next("WELCOME")
  return wire
}

describe("an agent that was kicked", () => {
  it("is taken out, reads why, and comes back neither by name nor by pattern until the time is over", async () => {
    const { relay, op } = await startWithOperator()
    const bob = await relay.enterAs(worker, "bob", general)
    const ann = await relay.enter("ann", general)
    const until = relay.clock.now() + 60_000
    expect(await act(op, relay, { action: "kick", agent: workerId, channel: general, until })).toMatchObject({
      state: "done",
    })
    const notice = { action: "kick", agent: workerId, by: agentIdOf(chief.publicKey), reason: "spam", until }
    expect(await bob.wire.next("MODERATION")).toMatchObject(notice)
    expect(await ann.wire.next("MODERATION")).toMatchObject(notice)
    expect(await bob.wire.next("LEFT")).toMatchObject({ channel: general })
    expect(await bob.wire.ask({ type: "MSG", to: general, content: "x" })).toMatchObject({
      code: "FORBIDDEN",
    })
    const refusal = await bob.wire.ask({ type: "JOIN", channel: general })
    expect(refusal).toMatchObject({ code: "FORBIDDEN", retry_after_ms: 60_000 })
    expect(JSON.stringify(refusal)).toContain("spam")
    await bob.wire.ask({ type: "JOIN", channel: "#>" })
    expect(await bob.wire.settle()).not.toContainEqual(expect.objectContaining({ channel: general }))
    relay.clock.advance(60_000)
    expect(await bob.wire.ask({ type: "JOIN", channel: general })).toMatchObject({ type: "JOINED" })
  })

  it("gets nothing that is said in a durable channel meanwhile", async () => {
    const engine = await LastingEngine.make()
    const { relay, op } = await startWithOperator({ backbone: engine.lend() })
    await op.wire.ask({ type: "CREATE_CHANNEL", channel: "#log", durable: true })
    const bob = await relay.enterAs(worker, "bob", "#log")
    await act(op, relay, { action: "kick", agent: workerId, channel: "#log" })
    await bob.wire.next("LEFT")
    await op.wire.ask({ type: "MSG", to: "#log", content: "secret" })
    bob.wire.socket.destroy()
    const again = await relay.enterAs(worker, "bob")
    expect(JSON.stringify(await again.wire.settle())).not.toContain("secret")
  })
})

describe("an agent that was banned", () => {
  it("loses its session, is refused also with a rotated key and after a restart, until the ban is lifted", async () => {
    const engine = await LastingEngine.make()
    const { relay, op } = await startWithOperator({ backbone: engine.lend() })
    const bob = await relay.enterAs(worker, "bob")
    await act(op, relay, { action: "ban", agent: workerId })
    expect(await bob.wire.next("MODERATION")).toMatchObject({ action: "ban" })
    expect(await bob.wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    expect(await bob.wire.ended()).toBeDefined()
    await relay.stop()
    const later = await TestRelay.start({ operators, backbone: engine.lend(), clock: relay.clock })
    for (const [keyPair, rotations] of [
      [worker, undefined],
      [stranger, [signRotation(worker, stranger, 1)]],
    ] as const) {
      const wire = await later.connect()
      wire.say({ type: "IDENTIFY", name: "bob", pubkey: formatDidKey(keyPair.publicKey) })
      wire.say({ ...prove(await wire.next("CHALLENGE"), keyPair), rotations })
      expect(await wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    }
    const again = await later.enterAs(chief, "op")
    await act(again, later, { action: "unban", agent: workerId })
    await later.enterAs(worker, "bob")
  })
})

describe("an agent that was muted", () => {
  it("reads, but says nothing by any message that carries text, until the time is over", async () => {
    const { relay, op } = await startWithOperator()
    const bob = await relay.enterAs(worker, "bob", general)
    await act(op, relay, { action: "mute", agent: workerId, until: relay.clock.now() + 1_000 })
    for (const frame of [
      { type: "MSG", to: general, content: "x" },
      { type: "MSG", to: "@op", content: "x" },
      { type: "MSG", to: "+role", content: "x" },
      { type: "SET_CHANNEL", channel: general, description: "x" },
      { type: "CREATE_CHANNEL", channel: "#x", description: "x" },
      { type: "INVITE", channel: general, agent: "@op" },
      { type: "DONE", task: "x.1", content: "x" },
    ]) {
      expect(await bob.wire.ask(frame)).toMatchObject({ code: "FORBIDDEN" })
    }
    await op.wire.ask({ type: "JOIN", channel: general })
    await op.wire.ask({ type: "MSG", to: general, content: "still heard" })
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "still heard" })
    relay.clock.advance(1_000)
    expect(await bob.wire.ask({ type: "MSG", to: general, content: "x" })).toMatchObject({ type: "ACK" })
  })
})

describe("a channel that was closed", () => {
  it("takes messages of operators only until it is reopened", async () => {
    const { relay, op } = await startWithOperator()
    await op.wire.ask({ type: "JOIN", channel: general })
    const bob = await relay.enterAs(worker, "bob", general)
    await act(op, relay, { action: "close", channel: general })
    expect(await bob.wire.ask({ type: "MSG", to: general, content: "x" })).toMatchObject({
      code: "FORBIDDEN",
    })
    expect(await op.wire.ask({ type: "MSG", to: general, content: "news" })).toMatchObject({ type: "ACK" })
    await act(op, relay, { action: "reopen", channel: general })
    expect(await bob.wire.ask({ type: "MSG", to: general, content: "x" })).toMatchObject({ type: "ACK" })
  })
})

describe("a channel that was restricted", () => {
  it("takes messages of its writers only, by id and role, after a restart and a rotation, until it is lifted", async () => {
    const engine = await LastingEngine.make()
    const { relay, op } = await startWithOperator({ backbone: engine.lend() })
    const ann = await relay.enterAs(stranger, "ann", general)
    await act(op, relay, { action: "restrict", channel: general, writers: [workerId, "+Lead"] as never })
    expect(await ann.wire.next("MODERATION")).toMatchObject({
      action: "restrict",
      writers: [workerId, "+Lead"],
    })
    await relay.stop()
    const later = await TestRelay.start({ operators, backbone: engine.lend(), clock: relay.clock })
    const say = { type: "MSG", to: general, content: "x" }
    const bob = await enterRotated(later, worker, next)
    await bob.ask({ type: "JOIN", channel: general })
    expect(await bob.ask(say)).toMatchObject({ type: "ACK" })
    const eve = await later.enterAs(stranger, "eve", general)
    for (const frame of [
      say,
      { ...say, type: "FORECAST" },
      { type: "INVITE", channel: general, agent: "@bob" },
    ]) {
      const refusal = await eve.wire.ask(frame)
      expect(refusal).toMatchObject({ code: "FORBIDDEN" })
      expect(JSON.stringify(refusal)).toContain(`only ${workerId}, +Lead and operators write to #general`)
    }
    await eve.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "lead" })
    expect(await eve.wire.ask(say)).toMatchObject({ type: "ACK" })
    const { list } = (await eve.wire.ask({ type: "LIST_CHANNELS" })) as { list?: object[] }
    expect(list).toContainEqual(expect.objectContaining({ name: general, writers: [workerId, "+Lead"] }))
    await eve.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "other" })
    const again = await later.enterAs(chief, "op", general)
    expect(await again.wire.ask(say)).toMatchObject({ type: "ACK" })
    await act(again, later, { action: "unrestrict", channel: general })
    expect(await eve.wire.ask(say)).toMatchObject({ type: "ACK" })
  })

  it("or closed answers an agent that may not see it as one that does not exist", async () => {
    const { relay, op } = await startWithOperator()
    await op.wire.ask({ type: "CREATE_CHANNEL", channel: "#hidden", invite_only: true })
    await act(op, relay, { action: "close", channel: "#hidden" })
    const eve = await relay.enterAs(stranger, "eve")
    for (const frame of [
      { type: "MSG", content: "x" },
      { type: "FORECAST", content: "x" },
      { type: "INVITE", agent: "@op" },
    ]) {
      const ask = async (name: string) => {
        const answer = await eve.wire.ask({ ...frame, to: name, channel: name })
        return JSON.stringify({ ...answer, re: "" }).replaceAll(name, "")
      }
      expect(await ask("#hidden")).toBe(await ask("#absent"))
    }
  })
})

describe("a key that was replaced", () => {
  it("leaves its mute and its kick to the new one, which an operator lifts by the new id", async () => {
    const { relay, op } = await startWithOperator()
    await relay.enterAs(worker, "bob")
    await act(op, relay, { action: "mute", agent: workerId })
    await act(op, relay, { action: "kick", agent: workerId, channel: general })
    const bob = await enterRotated(relay, worker, next)
    expect(await bob.ask({ type: "JOIN", channel: general })).toMatchObject({ code: "FORBIDDEN" })
    await bob.ask({ type: "JOIN", channel: "#>" })
    expect(await bob.settle()).not.toContainEqual(expect.objectContaining({ channel: general }))
    const say = { type: "MSG", to: "@op", content: "x" }
    expect(await bob.ask(say)).toMatchObject({ code: "FORBIDDEN" })
    const newId = agentIdOf(next.publicKey)
    const late = await act(op, relay, { action: "unmute", agent: workerId })
    expect(JSON.stringify(late)).toContain(newId)
    await act(op, relay, { action: "unmute", agent: newId })
    expect(await bob.ask(say)).toMatchObject({ type: "ACK" })
  })

  it("and was banned comes back once an operator lifts the ban by the new id", async () => {
    const { relay, op } = await startWithOperator()
    await act(op, relay, { action: "ban", agent: workerId })
    await op.wire.ask({ type: "KEY_STATEMENT", statement: signRotation(worker, next, 1) })
    await act(op, relay, { action: "unban", agent: agentIdOf(next.publicKey) })
    await enterRotated(relay, worker, next)
  })
})

describe("the history of a channel", () => {
  it.each([
    ["memory", false],
    ["a store", true],
  ])("that is kept in %s is gone once it was cleared", async (_, isStored) => {
    const engine = await LastingEngine.make()
    const { relay, op } = await startWithOperator(isStored ? { backbone: engine.lend() } : {})
    await op.wire.ask({ type: "CREATE_CHANNEL", channel: "#log", durable: isStored })
    await op.wire.ask({ type: "MSG", to: "#log", content: "password" })
    await act(op, relay, { action: "clear", channel: "#log" })
    await op.wire.settle()
    const ann = await relay.enterAs(worker, "ann", "#log")
    expect(JSON.stringify(await ann.wire.settle())).not.toContain("password")
  })

  it("is gone alone: direct messages and tasks that wait stay", async () => {
    const { relay, op } = await startWithOperator()
    const bob = await relay.enterAs(worker, "bob")
    bob.wire.socket.destroy()
    await op.wire.settle()
    await op.wire.ask({ type: "JOIN", channel: general })
    await op.wire.ask({ type: "MSG", to: workerId, content: "letter" })
    await op.wire.ask({ type: "MSG", to: "+builder", content: "work" })
    await act(op, relay, { action: "clear", channel: general })
    const again = await relay.enterAs(worker, "bob")
    expect(await again.wire.next("MSG")).toMatchObject({ content: "letter" })
    await again.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "builder" })
    expect(await again.wire.next("TASK")).toMatchObject({ content: "work" })
  })

  it("stays until a second operator says the same, where two rule", async () => {
    const { relay, op } = await startWithOperator({ twoPerson: true })
    await op.wire.ask({ type: "JOIN", channel: general })
    await op.wire.ask({ type: "MSG", to: general, content: "password" })
    const clear: Facts = { action: "clear", channel: general }
    for (let times = 0; times < 2; times++) {
      expect(await act(op, relay, clear)).toMatchObject({ state: "accepted" })
    }
    const other = await relay.enterAs(deputy, "op2")
    relay.clock.advance(600_001)
    expect(await act(other, relay, clear, deputy)).toMatchObject({ state: "accepted" })
    const ann = await relay.enter("ann", general)
    expect(await ann.wire.next("MSG")).toMatchObject({ content: "password" })
    expect(await act(op, relay, clear)).toMatchObject({ state: "done" })
    const eve = await relay.enter("eve", general)
    expect(JSON.stringify(await eve.wire.settle())).not.toContain("password")
  })
})

describe("MODERATE", () => {
  it.each<[string, Partial<Moderation>, KeyPair, string]>([
    ["is not signed by an operator", {}, stranger, "OPERATOR_REQUIRED"],
    ["is for another relay", { aud: "other" }, chief, "VERIFICATION_FAILED"],
    ["was signed long ago", { ts: 1 }, chief, "VERIFICATION_FAILED"],
    ["is against an operator", { agent: agentIdOf(deputy.publicKey) }, chief, "INVALID_MSG"],
    ["names a channel without need", { channel: general }, chief, "INVALID_MSG"],
  ])("is refused if it %s", async (_, facts, keyPair, code) => {
    const { relay } = await startWithOperator()
    await relay.enterAs(worker, "bob")
    const eve = await relay.enterAs(stranger, "eve")
    const statement = signed(relay, { action: "ban", agent: workerId, ...facts }, keyPair)
    expect(await eve.wire.ask({ type: "MODERATE", statement })).toMatchObject({ code })
  })

  it("is refused if it was changed, and is carried out once, whoever brings it again", async () => {
    const { relay, op } = await startWithOperator()
    const statement = signed(relay, { action: "mute", agent: workerId })
    const changed = { ...statement, reason: "other" }
    expect(await op.wire.ask({ type: "MODERATE", statement: changed })).toMatchObject({
      code: "VERIFICATION_FAILED",
    })
    await op.wire.ask({ type: "MODERATE", statement })
    await act(op, relay, { action: "unmute", agent: workerId })
    const eve = await relay.enterAs(stranger, "eve")
    await eve.wire.ask({ type: "MODERATE", statement })
    const bob = await relay.enterAs(worker, "bob")
    expect(await bob.wire.ask({ type: "MSG", to: "@eve", content: "x" })).toMatchObject({ type: "ACK" })
    expect(await op.wire.ask({ type: "LIST_AUDIT" })).toMatchObject({ list: [{ seq: 1 }, { seq: 2 }] })
  })
})

it("an action for the id that the relay has since its store was replaced is carried out", async () => {
  const backbone = (await LastingEngine.make()).lend()
  const { relay, op } = await startWithOperator({ backbone })
  backbone.id = "srv_replaced"
  expect(await act(op, relay, { action: "close", channel: general })).toMatchObject({ state: "done" })
})

describe("the audit log", () => {
  it("has every action of every relay in one chain, for operators only", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const east = await TestRelay.start({ operators, backbone: engine.lend() })
    const west = await TestRelay.start({ operators, backbone: engine.lend(), clock: east.clock })
    const [op, other] = [await east.enterAs(chief, "op"), await west.enterAs(deputy, "op2")]
    const bob = await west.enterAs(worker, "bob", general)
    const actions: Facts[] = [
      { action: "close", channel: general },
      { action: "mute", agent: workerId },
      { action: "reopen", channel: general },
      { action: "unmute", agent: workerId },
    ]
    await Promise.all(actions.map((facts) => act(op, east, facts)))
    await Promise.all(actions.map((facts) => act(other, west, facts, deputy)))
    expect(await bob.wire.ask({ type: "LIST_AUDIT" })).toMatchObject({ code: "OPERATOR_REQUIRED" })
    const answer = await op.wire.ask({ type: "LIST_AUDIT" })
    const list = (answer as { list?: AuditEntry[] }).list ?? []
    expect(list.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(auditFaults(list)).toEqual([])
    const [first, second, third] = list as [AuditEntry, AuditEntry, AuditEntry]
    expect(auditFaults([first, third])).not.toEqual([])
    expect(auditFaults([second, third])).not.toEqual([])
    expect(auditFaults([{ ...first, ts: 1 }, second])).toEqual([
      "entry 2: does not follow the entry before it",
    ])
    const forged = { ...first, statement: { ...first.statement, reason: "other" } }
    expect(auditFaults([forged])).toHaveLength(1)
  })

  it("is answered in pages", async () => {
    const { relay, op } = await startWithOperator()
    for (let count = 0; count < 51; count++) {
      await act(op, relay, { action: "close", channel: general })
      await act(op, relay, { action: "reopen", channel: general })
    }
    expect(await op.wire.ask({ type: "LIST_AUDIT" })).toMatchObject({ more: true })
    expect(await op.wire.ask({ type: "LIST_AUDIT", after: 100 })).toMatchObject({
      list: [{ seq: 101 }, { seq: 102 }],
    })
  })
})

it("every action is tested here, and revoke with grants", () => {
  const named = ["kick", "ban", "unban", "mute", "unmute", "close", "reopen", "restrict"]
  named.push("unrestrict", "revoke", "clear")
  expect(Object.keys(moderationActions)).toEqual(named)
})
