import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../../src/identity/signer.js"
import type { RosterEntry, ServerMessage } from "../../../src/protocol/server-messages.js"
import { prove, TestRelay } from "../../kit/relay.js"
import type { Wire } from "../../kit/wire.js"

interface Listing {
  readonly list: readonly string[]
  readonly roster: readonly RosterEntry[]
}

async function list(wire: Wire, filter: object = {}): Promise<Listing> {
  const answer = await wire.ask({ type: "LIST_AGENTS", ...filter })
  if (answer.type !== "AGENTS") throw new Error(JSON.stringify(answer))
  return answer
}

async function comeAs(relay: TestRelay, keyPair: KeyPair, fields: object): Promise<Wire> {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", pubkey: formatDidKey(keyPair.publicKey), ...fields })
  wire.say(prove(await wire.next("CHALLENGE"), keyPair))
  await wire.next("WELCOME")
  return wire
}

async function go(relay: TestRelay, wire: Wire): Promise<void> {
  const before = relay.log.filter((line) => line.startsWith("left:")).length
  wire.socket.destroy()
  await expect.poll(() => relay.log.filter((line) => line.startsWith("left:")).length).toBe(before + 1)
}

const card = {
  kind: "agent",
  description: "reads code",
  version: "1.0",
  url: "https://example.org/reviewer",
  tags: ["review"],
  skills: [{ id: "ts", name: "TypeScript", description: "all of it", tags: ["code"] }],
  meta: { team: "core", size: 3 },
} as const

describe("LIST_AGENTS", () => {
  it("returns the card of an agent unchanged if the request asks for cards", async () => {
    const relay = await TestRelay.start()
    const bob = await comeAs(relay, generateKeyPair(), { name: "bob", role: "reviewer", card })
    const eve = await relay.enter("eve", "#general")
    const shown = { name: "bob", role: "reviewer", status: "idle", card }
    expect((await list(eve.wire, { agent: "@BOB" })).roster).toMatchObject([shown])
    expect((await list(eve.wire, { cards: true })).roster).toMatchObject([shown, { id: eve.id }])
    expect((await list(eve.wire)).roster[0]).not.toHaveProperty("card")
    await bob.ask({ type: "JOIN", channel: "#general" })
    expect((await list(eve.wire, { channel: "#general", cards: true })).roster[1]).toMatchObject(shown)
    const joined = await (await relay.enter("ann")).wire.ask({ type: "JOIN", channel: "#general" })
    expect(JSON.stringify(joined)).not.toContain("reads code")
  })

  it("IDENTIFY refuses a card that is too long", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    const skills = Array.from({ length: 32 }, (_, i) => ({
      id: `s${i}`,
      name: "n",
      description: "d".repeat(500),
    }))
    const long = { skills, meta: { text: "x".repeat(4000) } }
    expect(await wire.ask({ type: "IDENTIFY", name: "bob", card: long })).toMatchObject({
      type: "ERROR",
      code: "INVALID_MSG",
    })
    expect(await wire.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ type: "WELCOME" })
  })

  it("AGENTS omits cards that would make it too long, but no agent", async () => {
    const relay = await TestRelay.start()
    const skills = Array.from({ length: 24 }, (_, i) => ({
      id: `s${i}`,
      name: "n",
      description: "d".repeat(500),
    }))
    for (let i = 0; i < 100; i++) {
      await (await relay.connect()).ask({ type: "IDENTIFY", name: `agent-${i}`, card: { skills } })
    }
    const eve = await relay.enter("eve")
    const { roster } = await list(eve.wire, { cards: true })
    expect(roster).toHaveLength(101)
    expect(JSON.stringify(roster).length).toBeLessThan(1.2 * 1024 * 1024)
    expect(roster.filter((entry) => entry.card !== undefined).length).toBeGreaterThan(50)
  })

  it("lists agents that have left for an agent that connects later", async () => {
    const relay = await TestRelay.start()
    const keys = generateKeyPair()
    const bob = await comeAs(relay, keys, { name: "bob", role: "builder", card })
    const ann = await relay.enter("ann", "#general")
    relay.clock.advance(1_000)
    await go(relay, bob)
    const leftTs = relay.clock.now()
    relay.clock.advance(1_000)
    const joe = await relay.enter("joe", "#general")
    const { list: ids, roster } = await list(joe.wire)
    expect(ids).toEqual([ann.id, joe.id])
    expect(roster).toMatchObject([
      { id: ann.id, name: "ann", status: "idle" },
      { id: joe.id },
      { name: "bob", status: "offline", role: "builder", since: leftTs },
    ])
    expect((await list(joe.wire, { agent: "@bob" })).list).toEqual([])
    expect((await list(joe.wire, { agent: "@bob" })).roster).toMatchObject([{ status: "offline", card }])
  })

  it("an identity that has been away for more than 7 days is listed only on request, and keeps its name", async () => {
    const relay = await TestRelay.start()
    await go(relay, await comeAs(relay, generateKeyPair(), { name: "bob" }))
    relay.clock.advance(7 * 86_400_000 + 1)
    const eve = await relay.enter("eve")
    expect((await list(eve.wire)).roster).toMatchObject([{ name: "eve" }])
    expect((await list(eve.wire, { all: true })).roster).toMatchObject([{ name: "eve" }, { name: "bob" }])
    expect((await list(eve.wire, { agent: "@bob" })).roster).toMatchObject([{ name: "bob" }])
  })

  it("an agent without a persistent identity is forgotten when it leaves", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const eve = await relay.enter("eve")
    await go(relay, bob.wire)
    expect((await list(eve.wire)).roster).toMatchObject([{ id: eve.id }])
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
  })

  it("an identity that reconnects keeps its role and card, unless it sends new ones", async () => {
    const relay = await TestRelay.start()
    const keys = generateKeyPair()
    await go(relay, await comeAs(relay, keys, { name: "bob", role: "builder", card }))
    const again = await comeAs(relay, keys, { name: "rob" })
    const { roster } = await list(again, { agent: "@rob" })
    expect(roster).toMatchObject([{ name: "rob", role: "builder", status: "idle", card }])
    expect(await again.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({ code: "AGENT_NOT_FOUND" })
    await comeAs(relay, keys, { name: "rob", role: "tester", card: { description: "new" } })
    const eve = await relay.enter("eve")
    expect((await list(eve.wire, { agent: "@rob" })).roster).toMatchObject([
      { role: "tester", card: { description: "new" } },
    ])
  })
})

describe("names", () => {
  it("mean an agent with a key before one without, and are ambiguous if several have a key", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve")
    await go(relay, await comeAs(relay, generateKeyPair(), { name: "bob" }))
    await go(relay, await comeAs(relay, generateKeyPair(), { name: "bob" }))
    const say = (to: string) => eve.wire.ask({ type: "MSG", to, content: "hi" })
    const away = (await say("@bob")) as ServerMessage<"ERROR">
    expect(away).toMatchObject({ type: "ERROR", code: "AMBIGUOUS_NAME" })
    await relay.enter("Bob")
    expect(await say("@bob")).toMatchObject({ code: "AMBIGUOUS_NAME", candidates: away.candidates })
    const third = await relay.enterAs(generateKeyPair(), "bob")
    expect(await say("@bob")).toMatchObject({
      code: "AMBIGUOUS_NAME",
      candidates: [third.id, ...(away.candidates ?? [])],
    })
    expect(await say(third.id)).toMatchObject({ type: "ACK", recipients: 1 })
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@nobdy" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
      message: expect.stringMatching(/^agent: /),
    })
  })
})
