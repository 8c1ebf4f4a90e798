import { describe, expect, it } from "vitest"
import { checkMessage, readerOf } from "../../src/client/message-check.js"
import { signFrame } from "../../src/client/message-signer.js"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ClientFrame } from "../../src/protocol/client-messages.js"
import { signatureSkewMs } from "../../src/protocol/limits.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"
import { newAuthor } from "../kit/signed-message.js"
import { storeOpener } from "../kit/store.js"
import { temporaryDirectory } from "../kit/temporary.js"

const store = storeOpener()
const engines = [
  ["in memory", undefined],
  ["on disk", (clock: FakeClock) => store.open(temporaryDirectory(), clock)],
] as const

async function startRelay(open?: (typeof engines)[number][1]) {
  const clock = new FakeClock()
  return TestRelay.start(open === undefined ? { clock } : { clock, backbone: await open(clock) })
}

const ann = newAuthor()
const bobKey = generateKeyPair()
const bobId = agentIdOf(bobKey.publicKey)

/** Signs a frame of ann as of now, or of `agoMs` ago. */
function signed(relay: TestRelay, frame: ClientFrame<"MSG">, agoMs = 0): ClientFrame<"MSG"> {
  return signFrame(frame, { ...ann, serverId: relay.relay.serverId }, relay.clock.now() - agoMs)
}

async function received({ wire, welcome }: TestAgent, type: "MSG" | "TASK" = "MSG") {
  return checkMessage(await wire.next(type), readerOf(welcome, undefined))
}

const parts = [{ kind: "com.example.diff", lines: [1, 2.5], text: "é\u2028" }]

describe.each(engines)("a signed message to a relay %s", { timeout: 60_000 }, (_, open) => {
  it("reaches members, newcomers and absent agents as it was signed", async () => {
    const relay = await startRelay(open)
    const author = await relay.enterAs(ann.keyPair, "ann", "#general")
    const carl = await relay.enter("carl", "#general")
    const post = signed(relay, {
      type: "MSG",
      id: "a1",
      to: "#general",
      content: 'hi "é"',
      kind: "inform",
      parts,
    })
    expect(await author.wire.answerTo(post)).toMatchObject({ type: "ACK" })
    expect(await received(carl)).toMatchObject({ content: 'hi "é"', verified: true })
    const mail = signed(relay, { type: "MSG", id: "a2", to: bobId, content: "for bob", in_reply_to: "x.1" })
    await author.wire.answerTo(mail)
    relay.clock.advance(3_600_000)
    const bob = await relay.enterAs(bobKey, "bob")
    expect(await received(bob)).toMatchObject({ content: "for bob", verified: true })
    bob.wire.say({ type: "JOIN", channel: "#general" })
    expect(await received(bob)).toMatchObject({ content: 'hi "é"', replay: true, verified: true })
  })

  it("becomes a task as it was signed", async () => {
    const relay = await startRelay(open)
    const author = await relay.enterAs(ann.keyPair, "ann")
    const question = { choices: ["yes", "no"], kind: "request" } as const
    await author.wire.answerTo(
      signed(relay, { type: "MSG", id: "t1", to: "+Coder", content: "merge?", parts, ...question }),
    )
    relay.clock.advance(3_600_000)
    const bob = await relay.enterAs(bobKey, "bob")
    bob.wire.say({ type: "SET_PRESENCE", status: "idle", role: "coder" })
    expect(await received(bob, "TASK")).toMatchObject({ content: "merge?", ...question, verified: true })
  })
})

describe("the signature of a message", () => {
  it("is left out by the relay, and the message not lost, if it is of another time", async () => {
    const relay = await startRelay()
    const author = await relay.enterAs(ann.keyPair, "ann")
    const carl = await relay.enter("carl", "#general")
    for (const [id, agoMs, verified] of [
      ["a1", signatureSkewMs.relay, true],
      ["a2", signatureSkewMs.relay + 1, false],
      ["a3", -signatureSkewMs.relay, true],
      ["a4", -signatureSkewMs.relay - 1, false],
    ] as const) {
      author.wire.say(signed(relay, { type: "MSG", id, to: "#general", content: id }, agoMs))
      expect(await received(carl)).toMatchObject({ content: id, verified })
    }
  })

  it("does not tell a message from the same one that was sent before", async () => {
    const relay = await startRelay()
    const author = await relay.enterAs(ann.keyPair, "ann")
    const frame = { type: "MSG", id: "a1", to: "#general", content: "hi" } as const
    await author.wire.answerTo(signed(relay, frame))
    const again = { ...signed(relay, frame, 1_000) }
    expect(await author.wire.answerTo(again)).toMatchObject({ type: "ACK", duplicate: true })
    expect(await author.wire.answerTo(frame)).toMatchObject({ type: "ACK", duplicate: true })
  })

  it("is refused if its form is wrong, with the field", async () => {
    const relay = await startRelay()
    const author = await relay.enterAs(ann.keyPair, "ann")
    const { signed: proof, ...frame } = signed(relay, {
      type: "MSG",
      id: "a1",
      to: "#general",
      content: "hi",
    })
    for (const [change, field] of [
      [{ sig: "x".repeat(1_025) }, "sig"],
      [{ ts: -1 }, "ts"],
      [{ ts: 9e15 }, "ts"],
      [{ to: "general" }, "to"],
    ] as const) {
      const answer = await author.wire.answerTo({ ...frame, signed: { ...proof, ...change } })
      expect(answer).toMatchObject({
        code: "INVALID_MSG",
        message: expect.stringContaining(`MSG.signed.${field}`),
      })
    }
  })
})

describe("two daemons", { timeout: 60_000 }, () => {
  /** Starts the daemons of alice and bob. */
  async function arrange() {
    const relay = await startRelay()
    const [alice, bob] = [new DaemonHarness(relay.clock), new DaemonHarness(relay.clock)]
    await alice.start(relay.relay, { nick: "alice" as never })
    await bob.start(relay.relay, { role: "coder" })
    for (const { status } of [alice, bob].map((daemon) => ({ status: () => daemon.status })))
      await until("online", () => status().channels.includes("#general"))
    return { relay, alice, bob }
  }

  it("verify each other's messages to a channel, to a name and to an id", async () => {
    const { alice, bob } = await arrange()
    alice.write({ to: "#general", content: "one", parts })
    alice.write({ to: "@Bob", content: "two" })
    await alice.acksWith("accepted", 2)
    alice.write({ to: "@bob", content: "three" })
    alice.write({ to: bob.self, content: "four", in_reply_to: "x.1", kind: "request" })
    const lines = await bob.lines("MSG", 4)
    expect(lines.map(({ content, verified }) => [content, verified])).toEqual(
      ["one", "two", "three", "four"].map((content) => [content, true]),
    )
    expect(bob.inbox.some(({ type }) => type === "NOTICE")).toBe(false)
  })

  it("verify a task and its answer", async () => {
    const { alice, bob } = await arrange()
    alice.write({ to: "+coder", content: "work" })
    bob.write({ type: "SET_PRESENCE", status: "idle", role: "coder" })
    const [task] = await bob.lines("TASK")
    expect(task).toMatchObject({ content: "work", verified: true })
    bob.write({ type: "DONE", task: task?.["task"], content: "done" })
    expect(await alice.lines("MSG")).toMatchObject([
      { content: "done", in_reply_to: task?.["task"], verified: true },
    ])
  })

  it("show what an agent without a key says as unverified", async () => {
    const { relay, bob } = await arrange()
    const eve = await relay.enter("eve")
    eve.wire.say(
      { type: "MSG", to: bob.self, content: "hi" },
      { type: "MSG", to: "#general", content: "all" },
    )
    const lines = await bob.lines("MSG", 2)
    expect(lines.map(({ verified }) => verified)).toEqual([false, false])
  })
})
