import { describe, expect, it } from "vitest"
import { signDetached } from "../../src/identity/detached-jws.js"
import { signRotation } from "../../src/identity/succession.js"
import type { Nick } from "../../src/protocol/names.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay, type FakeRelayOptions, type FakeSession, msg } from "../kit/fake-relay.js"
import { type Author, newAuthor, signedMsg, signedTs } from "../kit/signed-message.js"

const alice = newAuthor()
const mallory = newAuthor()
const minute = 60_000

/** Starts the daemon of an agent named bob, on a relay whose words the test chooses. */
async function arrange(answers: FakeRelayOptions["answers"] = {}) {
  const relay = await FakeRelay.start({ answers })
  const daemon = new DaemonHarness()
  const start = async () => {
    await daemon.start(relay)
    await until("online", () => daemon.status.connected)
    return relay.session(relay.sessions.length - 1)
  }
  return { relay, daemon, start, session: await start() }
}

/** Sends messages, and returns the lines of the inbox once the daemon has read them all. */
async function linesAfter(daemon: DaemonHarness, session: FakeSession, ...messages: readonly object[]) {
  const end = `end ${daemon.inbox.length}`
  session.send(...messages, msg(`bbbbbbbb.${daemon.inbox.length}`, { content: end }))
  await until("the end", () => daemon.inbox.some(({ content }) => content === end))
  return daemon.inbox.filter(({ content }) => !String(content).startsWith("end "))
}

const genuine = (self: string) =>
  signedMsg(
    alice,
    {
      to: self,
      content: "pay bob",
      kind: "request",
      in_reply_to: "x.1",
      parts: [{ kind: "data", data: [1] }],
    },
    { reader: self },
  )
type Message = ReturnType<typeof genuine>

const lies: readonly [string, (message: Message, self: string) => object][] = [
  ["another text", (message) => ({ ...message, content: "pay mallory" })],
  ["other parts", (message) => ({ ...message, parts: [{ kind: "data", data: [2] }] })],
  ["no parts", ({ parts: _, ...message }) => message],
  ["another kind", (message) => ({ ...message, kind: "inform" })],
  ["another question", (message) => ({ ...message, in_reply_to: "x.2" })],
  ["another id", (message) => ({ ...message, msg_id: message.msg_id.replace("m1", "m2") })],
  [
    "another author",
    (message) => ({
      ...message,
      from: mallory.agentId,
      msg_id: `${mallory.agentId.slice(1)}.m1`,
    }),
  ],
  [
    "a signature by another key",
    (message) => ({
      ...message,
      signed: signedMsg(mallory, { to: message.to, content: message.content }).signed,
    }),
  ],
  [
    "an agent without a key as its author",
    (message) => ({ ...message, from: "@bbbbbbbb", msg_id: "bbbbbbbb.m1" }),
  ],
  ["a later time, as if it were new", (message) => ({ ...message, ts: message.ts + 6 * minute })],
  [
    "a later time in its signature",
    (message) => ({ ...message, signed: { ...message.signed, ts: signedTs + 1 } }),
  ],
  [
    "another target in its signature",
    (message) => ({ ...message, signed: { ...message.signed, to: "#general" } }),
  ],
  ["a channel it was not sent to", (message) => ({ ...message, to: "#general" })],
  [
    "the text of another agent's mail",
    (_, self) => signedMsg(alice, { to: mallory.agentId }, { reader: self }),
  ],
  ["the text of another channel", () => signedMsg(alice, { to: "#secret" }, { reader: "#general" })],
  [
    "the text of a channel as direct mail",
    (_, self) => signedMsg(alice, { to: "#general" }, { reader: self }),
  ],
  ["mail for another name", (_, self) => signedMsg(alice, { to: "@carol" }, { reader: self })],
  ["a message made for another relay", (_, self) => signedMsg(alice, { to: self }, { aud: "relay-2" })],
  [
    "a signature made for another purpose",
    (message) => {
      const { content, kind, in_reply_to, parts, from, ts, to, msg_id: id } = message
      const facts = { aud: "relay-1", from, id, to, content, parts, kind, in_reply_to, ts }
      return {
        ...message,
        signed: { to, ts, sig: signDetached(facts, alice.keyPair, "agentchat.claim+jws") },
      }
    },
  ],
  ["half a signature", (message) => ({ ...message, signed: { ...message.signed, sig: "a..b" } })],
  ["something else for a signature", (message) => ({ ...message, signed: { ts: "x" } })],
]

describe("a relay that lies about a signed message", { timeout: 60_000 }, () => {
  it("shows it as verified while it tells the truth", async () => {
    const { daemon, session } = await arrange()
    const [line] = await linesAfter(daemon, session, genuine(daemon.self))
    expect(line).toMatchObject({ from: alice.agentId, content: "pay bob", verified: true })
    expect(line).not.toHaveProperty("signed")
  })

  it.each(lies)("is not believed when it gives it %s", async (_, lie) => {
    const { daemon, session } = await arrange()
    const lines = await linesAfter(daemon, session, lie(genuine(daemon.self), daemon.self))
    expect(lines).toMatchObject([
      { type: "NOTICE", code: "VERIFICATION_FAILED", message: expect.any(String) },
    ])
    expect(daemon.log).toMatch(/dropped [0-9a-z]+\.m[12]: a message from @[0-9a-z]+ was dropped/)
  })

  it("makes a message unverified when it leaves the signature out", async () => {
    const { daemon, session } = await arrange()
    const { signed: _, ...stripped } = genuine(daemon.self)
    const lines = await linesAfter(daemon, session, stripped, genuine(daemon.self))
    expect(lines).toMatchObject([{ type: "MSG", from: alice.agentId, verified: false }])
  })

  it("cannot say itself that a message is verified", async () => {
    const { daemon, session } = await arrange()
    const { signed: _, ...stripped } = genuine(daemon.self)
    const lines = await linesAfter(daemon, session, { ...stripped, verified: true })
    expect(lines).toMatchObject([{ verified: false }])
  })

  it("shows a message once that it sends again and again, also after a restart", async () => {
    const { daemon, session, start } = await arrange()
    const message = genuine(daemon.self)
    await linesAfter(daemon, session, message, { ...message, ts: message.ts + minute })
    const again = await start()
    const lines = await linesAfter(daemon, again, message, { ...message, replay: true })
    expect(lines.map(({ type }) => type)).toEqual(["MSG"])
  })

  it("writes one NOTICE about a lie that it repeats, also after a restart", async () => {
    const { daemon, session, start } = await arrange()
    const lie = { ...genuine(daemon.self), content: "pay mallory" }
    await linesAfter(daemon, session, lie, lie)
    expect(await linesAfter(daemon, await start(), lie)).toHaveLength(1)
  })

  it("does not get a dropped message confirmed", async () => {
    const { daemon, session } = await arrange()
    const honest = signedMsg(alice, { to: daemon.self, id: "m2" })
    await linesAfter(daemon, session, { ...genuine(daemon.self), content: "pay mallory" }, honest)
    const [{ ids } = {}] = await session.received("RECEIVED")
    expect(ids).toEqual([honest.msg_id])
  })

  it("can change the order of messages, and each still says who wrote it", async () => {
    const { daemon, session } = await arrange()
    const said = [1, 2, 3].map((n) => signedMsg(alice, { to: "#general", id: `m${n}`, content: `${n}` }))
    const lines = await linesAfter(daemon, session, ...said.reverse())
    expect(lines.map(({ content, verified }) => [content, verified])).toEqual([
      ["3", true],
      ["2", true],
      ["1", true],
    ])
  })

  it("is not believed about a task", async () => {
    const { daemon, session } = await arrange()
    const {
      to: _,
      msg_id: task,
      hops: _hops,
      ...message
    } = signedMsg(alice, { to: "+coder", kind: "request" })
    const honest = {
      ...message,
      type: "TASK",
      task,
      role: "coder",
      lease_ms: minute,
      attempt: 1,
      ts: signedTs,
    }
    const lines = await linesAfter(
      daemon,
      session,
      { ...honest, content: "delete it" },
      { ...honest, role: "deployer" },
      { ...honest, task: `${mallory.agentId.slice(1)}.m1`, from: mallory.agentId },
    )
    expect(lines.map(({ type }) => type)).toEqual(["NOTICE", "NOTICE", "NOTICE"])
    expect(daemon.status.tasks).toEqual([])
    const { signed: _signed, ...stripped } = { ...honest, task: `${alice.agentId.slice(1)}.m2` }
    await linesAfter(daemon, session, honest, stripped)
    expect(daemon.inbox.filter(({ type }) => type === "TASK")).toMatchObject([
      { task, verified: true },
      { verified: false },
    ])
  })
})

describe("mail for an agent by its name", { timeout: 60_000 }, () => {
  it("is accepted in any case, and for an earlier name of the agent", async () => {
    const { daemon, relay } = await arrange()
    await daemon.start(relay, { nick: "rob" as Nick })
    const session = await relay.session(1)
    await until("online", () => daemon.status.connected)
    const reader = daemon.self
    const mail = ["@BOB", "@bob", reader].map((to, n) => signedMsg(alice, { to, id: `m${n}` }, { reader }))
    const lines = await linesAfter(daemon, session, ...mail)
    expect(lines.map(({ verified }) => verified)).toEqual([true, true, true])
  })
})

describe("a name", { timeout: 60_000 }, () => {
  const notices = (lines: readonly Record<string, unknown>[]) => lines.filter(({ type }) => type === "NOTICE")
  const posts = (author: Author, ...ids: readonly string[]) =>
    ids.map((id) => signedMsg(author, { to: "#general", id, content: id }))

  it("that another key uses is reported once, also after a restart", async () => {
    const { daemon, session, start } = await arrange()
    expect(notices(await linesAfter(daemon, session, ...posts(alice, "a1")))).toEqual([])
    await linesAfter(daemon, session, ...posts(mallory, "a2", "a3"), ...posts(alice, "a4"))
    const lines = await until("the notice", () => notices(daemon.inbox).length > 0 && daemon.inbox)
    const text = `${mallory.agentId} speaks as "alice" with another key; before, that was ${alice.agentId}`
    expect(notices(lines)).toMatchObject([{ code: "OTHER_KEY", message: text }])
    await daemon.stop()
    await linesAfter(daemon, await start(), ...posts(mallory, "a5"), ...posts(alice, "a6"))
    expect(notices(daemon.inbox)).toHaveLength(1)
  })

  it("of a key that an agent without a key uses is reported", async () => {
    const { daemon, session } = await arrange()
    await linesAfter(daemon, session, ...posts(alice, "a1"), msg("bbbbbbbb.x", { name: "Alice" }))
    const lines = await until("the notice", () => notices(daemon.inbox).length > 0 && daemon.inbox)
    expect(notices(lines)).toMatchObject([{ message: expect.stringContaining("with no key") }])
  })

  it("passes to the key that has replaced the first one, without a word", async () => {
    const rotation = signRotation(alice.keyPair, mallory.keyPair, signedTs)
    const roster = [{ id: mallory.agentId, name: "alice", status: "idle" }]
    const { daemon, session } = await arrange({
      LIST_AGENTS: ({ id }) => ({ type: "AGENTS", re: id, list: [], roster, rotations: [rotation] }),
    })
    await linesAfter(daemon, session, ...posts(alice, "a1"), ...posts(mallory, "a2"))
    await until("the log", () => daemon.log.includes("has replaced its key"))
    expect(notices(daemon.inbox)).toEqual([])
  })

  it("is not pinned by a message that is not verified", async () => {
    const { daemon, session } = await arrange()
    const { signed: _, ...stripped } = signedMsg(mallory, { to: "#general" })
    await linesAfter(daemon, session, stripped, ...posts(alice, "a2"))
    daemon.sweep()
    expect(notices(daemon.inbox)).toEqual([])
  })
})
