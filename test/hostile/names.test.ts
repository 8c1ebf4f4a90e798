import { describe, expect, it } from "vitest"
import { AgentChatClient } from "../../src/client/client.js"
import { agentIdOf, formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { signRotation } from "../../src/identity/succession.js"
import { agentIdIn, parseNick } from "../../src/protocol/names.js"
import { Operators } from "../../src/server/operators.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay } from "../kit/fake-relay.js"
import { newIdentity } from "../kit/identity.js"
import { prove, TestRelay } from "../kit/relay.js"

const upper = (id: string) => `@${id.slice(1).toUpperCase()}`

async function online(url: string, nick = "alice"): Promise<DaemonHarness> {
  const daemon = new DaemonHarness()
  await daemon.start({ url }, { nick: parseNick(nick) })
  await until("online", () => daemon.status.connected)
  return daemon
}

const urlOf = ({ relay }: TestRelay) => `ws://127.0.0.1:${relay.port}`

describe("a name of the form of an agent id", () => {
  it("is refused by the relay, whoever has the id and in any case", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve")
    const key = await relay.enterAs(generateKeyPair(), "key")
    for (const id of [
      eve.id,
      key.id,
      upper(eve.id),
      upper(key.id),
      "@640C3128333BFCDC",
      "@640C3128333bfcdc",
    ]) {
      const wire = await relay.connect()
      wire.say({ type: "IDENTIFY", name: id.slice(1) })
      expect(await wire.next("ERROR")).toMatchObject({
        code: "INVALID_MSG",
        message: expect.stringMatching(/name/),
      })
    }
  })

  it("is refused by the library and for a daemon, with a hint", () => {
    for (const name of ["640C3128333BFCDC", "2abcdefg", "7ABCDEFG"]) {
      expect(() => parseNick(name)).toThrow("agent id")
      expect(() => new AgentChatClient({ server: "ws://127.0.0.1:1", name })).toThrow("agent id")
    }
  })

  it("has a form that no usual name has: words, and words with a number, stay allowed", () => {
    for (const name of ["reviewer", "builder2", "frontend", "gpt4mini", "web3team", "claude42"]) {
      expect(parseNick(name)).toBe(name)
      expect(agentIdIn(`@${name}`)).toBeUndefined()
    }
  })
})

describe("an agent id in a message, a question, a mention, an invitation or a list of operators", () => {
  it("means that agent in any case, and is mail while it is away", async () => {
    const relay = await TestRelay.start()
    const keys = generateKeyPair()
    const ann = await relay.enter("ann", "#general")
    const owner = await relay.enterAs(keys, "owner", "#general")
    for (const to of [owner.id, upper(owner.id)]) {
      expect(await ann.wire.ask({ type: "MSG", to, content: "x" })).toMatchObject({
        type: "ACK",
        to: owner.id,
      })
      expect(await ann.wire.ask({ type: "PENDING", target: to })).toMatchObject({ target: owner.id })
      expect(await ann.wire.ask({ type: "LIST_AGENTS", agent: to })).toMatchObject({ list: [owner.id] })
      expect(await ann.wire.ask({ type: "INVITE", channel: "#general", agent: to })).toMatchObject({
        state: "done",
      })
      await ann.wire.ask({ type: "MSG", to: "#general", content: `look, ${to}` })
      const mention = await until("the mention", async () =>
        (await owner.wire.settle()).find((message) => message.type === "MSG" && message.to === "#general"),
      )
      expect(mention).toMatchObject({ mentions: [owner.id] })
    }
    expect(Operators.of([upper(owner.id)]).has(owner.id)).toBe(true)
  })

  it("means nobody if no session has it", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enter("ann")
    for (const type of ["MSG", "FORECAST"]) {
      const sent = await ann.wire.ask({ type, to: "@2abcdefg", content: "x" })
      expect(sent).toMatchObject({ code: "AGENT_NOT_FOUND" })
    }
    expect(await ann.wire.ask({ type: "PENDING", target: "@2ABCDEFG" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
  })

  it("waits as mail for a key that the relay has never met or has forgotten", async () => {
    const relay = await TestRelay.start({ limits: { identities: 2 } })
    const keys = generateKeyPair()
    const id = agentIdOf(keys.publicKey)
    const ann = await relay.enter("ann")
    expect(await ann.wire.ask({ type: "MSG", to: upper(id), content: "before" })).toMatchObject({ to: id })
    const owner = await relay.enterAs(keys, "owner")
    expect(await owner.wire.next("MSG")).toMatchObject({ content: "before" })
    owner.wire.socket.destroy()
    await until("away", () => relay.log.some((line) => line.startsWith("left:")))
    for (const name of ["x", "y", "z"]) await relay.enterAs(generateKeyPair(), name)
    expect(await ann.wire.ask({ type: "MSG", to: id, content: "after" })).toMatchObject({ to: id })
    const again = await relay.enterAs(keys, "owner")
    const mail = await until("the mail", async () => {
      const seen = await again.wire.settle()
      return seen.some((message) => message.type === "MSG" && message.content === "after")
    })
    expect(mail).toBe(true)
  })
})

describe("a relay that answers for another agent than the id it was asked for", () => {
  const liar = "@bbbbbbbbbbbbbbbb"
  const asked = "@640c3128333bfcdc"
  const ack = ({ id }: { id?: string }, self: string) => ({
    ...{ type: "ACK", re: id, ts: 1, state: "accepted", recipients: 1, to: liar },
    msg_id: `${self.slice(1)}.${String(id)}`,
  })

  it("is not believed by the daemon, which rejects the line", async () => {
    const daemon: DaemonHarness = new DaemonHarness()
    const relay = await FakeRelay.start({ answers: { MSG: (frame) => ack(frame, daemon.self) } })
    await daemon.start(relay)
    await until("online", () => daemon.status.connected)
    daemon.write({ to: asked, content: "secret", id: "m1" })
    const [line] = await daemon.lines("REJECTED")
    expect(line).toMatchObject({ id: "m1", code: "VERIFICATION_FAILED" })
    expect(daemon.acks).toEqual([])
  })

  it("is not believed by the library", async () => {
    const roster = [{ id: liar, name: "x", status: "idle" }]
    const relay = await FakeRelay.start({
      answers: {
        MSG: (frame) => ack(frame, "@aaaaaaaa"),
        PENDING: ({ id }) => ({ type: "PENDING", re: id, target: liar, count: 0, ids: [] }),
        LIST_AGENTS: ({ id }) => ({ type: "AGENTS", re: id, list: [liar], roster }),
      },
    })
    const client = new AgentChatClient({ server: relay.url, name: "ann" })
    await client.connect()
    const code = { code: "VERIFICATION_FAILED" }
    await expect(client.dm(asked, "secret")).rejects.toMatchObject(code)
    await expect(client.dm(upper(asked), "secret")).rejects.toMatchObject(code)
    await expect(client.pending(asked)).rejects.toMatchObject(code)
    await expect(client.listAgents(undefined, { agent: asked })).rejects.toMatchObject(code)
    await client.disconnect()
  })

  it("is believed if it proves that the agent replaced its key", async () => {
    const [first, second, third] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey: formatDidKey(third.publicKey) })
    const rotations = [signRotation(first, second, 1), signRotation(second, third, 2)]
    wire.say({ ...prove(await wire.next("CHALLENGE"), third), rotations })
    await wire.next("WELCOME")
    const to = agentIdOf(third.publicKey)
    const alice = await online(urlOf(relay))
    const client = new AgentChatClient({ server: urlOf(relay), name: "ann", identity: newIdentity() })
    await client.connect()
    for (const old of [first, second].map(({ publicKey }) => agentIdOf(publicKey))) {
      expect(await client.dm(old, "x")).toMatchObject({ to })
      expect(await client.listAgents(undefined, { agent: old })).toMatchObject([{ id: to }])
      expect(await client.pending(old)).toMatchObject({ target: to })
      alice.write({ to: old, content: "x" })
    }
    expect(await alice.acksWith("accepted", 2)).toMatchObject([{ evidence: { to } }, { evidence: { to } }])
    await client.disconnect()
  })
})

describe("a name that another agent takes", () => {
  it("stays that of a key for 30 days: nobody without a key gets what is meant for it", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(generateKeyPair(), "bob")
    bob.wire.socket.destroy()
    await until("away", () => relay.log.some((line) => line.startsWith("left:")))
    const ann = await relay.enter("ann")
    const thief = await relay.enter("Bob")
    const say = () => ann.wire.ask({ type: "MSG", to: "@bob", content: "for bob" })
    expect(await say()).toMatchObject({ to: bob.id, recipients: 0 })
    const rival = await relay.enterAs(generateKeyPair(), "bob")
    expect(await say()).toMatchObject({ code: "AMBIGUOUS_NAME", candidates: [rival.id, bob.id] })
    expect((await thief.wire.settle()).filter(({ type }) => type === "MSG")).toEqual([])
    expect((await rival.wire.settle()).filter(({ type }) => type === "MSG")).toEqual([])
    rival.wire.socket.destroy()
    await until("away", () => relay.log.filter((line) => line.startsWith("left:")).length === 2)
    relay.clock.advance(31 * 86_400_000)
    expect(await say()).toMatchObject({ to: thief.id })
  })

  it("means the same agent to a daemon while that one has a key, whoever else has the name", async () => {
    const relay = await TestRelay.start()
    const keys = generateKeyPair()
    const bob = await relay.enterAs(keys, "bob")
    const alice = await online(urlOf(relay))
    alice.write({ to: "@bob", content: "one", id: "m1" })
    await alice.acksWith("accepted")
    const rival = await relay.enterAs(generateKeyPair(), "bob")
    alice.write({ to: "@bob", content: "two", id: "m2" })
    await alice.acksWith("accepted", 2)
    bob.wire.socket.destroy()
    await until("away", () => relay.log.some((line) => line.startsWith("left:")))
    alice.write({ to: "@bob", content: "three", id: "m3" })
    const acks = await alice.acksWith("accepted", 3)
    expect(acks.map(({ evidence }) => (evidence as { to: string }).to)).toEqual([bob.id, bob.id, bob.id])
    expect((await rival.wire.settle()).filter(({ type }) => type === "MSG")).toEqual([])
  })

  it("is refused to a daemon that wrote to its earlier bearer, until it writes to an id", async () => {
    const relay = await TestRelay.start()
    const first = await relay.enter("bob")
    const alice = await online(urlOf(relay))
    alice.write({ to: "@bob", content: "one", id: "m1" })
    await alice.acksWith("accepted")
    first.wire.socket.destroy()
    await until("away", () => relay.log.some((line) => line.startsWith("left:")))
    const second = await relay.enter("bob")
    alice.write({ to: "@BOB", content: "two", id: "m2" })
    const [rejected] = await alice.lines("REJECTED")
    expect(rejected).toMatchObject({
      id: "m2",
      code: "AMBIGUOUS_NAME",
      candidates: [first.id, second.id],
      hint: expect.stringContaining(`if this is the same one, write to ${second.id} once`),
    })
    expect((await second.wire.settle()).filter(({ type }) => type === "MSG")).toEqual([])
    alice.write({ to: second.id, content: "three", id: "m3" })
    await alice.acksWith("accepted", 2)
    alice.write({ to: "@bob", content: "four", id: "m4" })
    await alice.acksWith("accepted", 3)
    expect((await second.wire.settle()).flatMap((m) => (m.type === "MSG" ? [m.content] : []))).toEqual([
      "three",
      "four",
    ])
  })

  it("is refused also after a restart of the daemon, and by a relay that does not compare", async () => {
    const self = { daemon: new DaemonHarness(), to: "@1111111111111111" }
    const relay = await FakeRelay.start({
      answers: {
        MSG: ({ id }) => ({
          ...{ type: "ACK", re: id, ts: 1, state: "accepted", recipients: 1, to: self.to },
          msg_id: `${self.daemon.self.slice(1)}.${String(id)}`,
        }),
      },
    })
    const { daemon } = self
    await daemon.start(relay)
    await until("online", () => daemon.status.connected)
    daemon.write({ to: "@bob", content: "one", id: "m1" })
    await daemon.acksWith("accepted")
    await daemon.start(relay)
    await until("online again", () => daemon.status.connected)
    self.to = "@2222222222222222"
    daemon.write({ to: "@bob", content: "two", id: "m2" })
    const [line] = await daemon.lines("REJECTED")
    const candidates = ["@1111111111111111", "@2222222222222222"]
    expect(line).toMatchObject({ id: "m2", code: "AMBIGUOUS_NAME", candidates })
  })
})
