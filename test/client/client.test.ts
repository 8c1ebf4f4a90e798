import { once } from "node:events"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { createIdentity, revokeIdentity } from "../../src/identity/identity-file.js"
import { signerOf } from "../../src/identity/message-signature.js"
import { AgentChatClient, type AgentChatClientOptions, type ServerMessage } from "../../src/index.js"
import { until } from "../kit/condition.js"
import { FakeRelay, type FakeRelayOptions, joined, msg, welcome } from "../kit/fake-relay.js"
import { newIdentity } from "../kit/identity.js"
import { newAuthor, signedMsg } from "../kit/signed-message.js"
import { temporaryDirectory } from "../kit/temporary.js"

async function connect(
  relayOptions: FakeRelayOptions = {},
  options: Partial<AgentChatClientOptions> = {},
): Promise<{ relay: FakeRelay; client: AgentChatClient }> {
  const relay = await FakeRelay.start(relayOptions)
  const client = new AgentChatClient({ server: relay.url, name: "bob", ...options })
  onTestFinished(() => client.disconnect())
  await client.connect()
  return { relay, client }
}

describe("AgentChatClient", () => {
  it("runs the example of the README", async () => {
    const relay = await FakeRelay.start()
    const client = new AgentChatClient({ server: relay.url, name: "my-agent" })
    onTestFinished(() => client.disconnect())
    await client.connect()
    await client.join("#general")
    const lines: string[] = []
    let reply: Promise<unknown> | undefined
    client.on("message", (message) => {
      lines.push(`${message.from}: ${message.content}`)
      if (message.content.includes("hello")) reply = client.send("#general", "Hello back!")
    })
    const session = await relay.session()
    session.send(msg("bbbbbbbb.1", { content: "hello there" }))
    expect((await session.received("MSG"))[0]).toMatchObject({ to: "#general", content: "Hello back!" })
    expect(lines).toEqual(["@bbbbbbbb: hello there"])
    await reply
  })

  it("reports its agent id once connected", async () => {
    const { client } = await connect()
    expect(client).toMatchObject({ agentId: "@aaaaaaaa", isConnected: true, channels: [] })
    await client.disconnect()
    expect(client).toMatchObject({ agentId: undefined, isConnected: false })
  })

  it("uses the identity in a file", async () => {
    const path = join(temporaryDirectory(), "identity.json")
    const { agentId } = createIdentity(path)
    const { client } = await connect({}, { identity: path })
    expect(client.agentId).toBe(agentId)
  })

  it("refuses a missing or revoked identity before connecting", async () => {
    const relay = await FakeRelay.start()
    const path = join(temporaryDirectory(), "identity.json")
    const client = new AgentChatClient({ server: relay.url, name: "bob", identity: path })
    await expect(client.connect()).rejects.toMatchObject({ code: "NOT_FOUND" })
    createIdentity(path)
    revokeIdentity(path)
    await expect(client.connect()).rejects.toMatchObject({ code: "BAD_IDENTITY" })
    expect(relay.sessions).toEqual([])
  })

  it("opens one session, however often connect is called", async () => {
    const { relay, client } = await connect()
    await Promise.all([client.connect(), client.connect()])
    expect(relay.sessions).toHaveLength(1)
    await client.disconnect()
    await Promise.all([client.connect(), client.connect()])
    expect(relay.sessions).toHaveLength(2)
  })

  it("drops a session that was closed while it was opening, and opens the next", async () => {
    const { relay, client } = await connect()
    await client.disconnect()
    const connecting = client.connect()
    connecting.catch(() => {})
    await client.disconnect()
    const again = client.connect()
    await expect(connecting).rejects.toMatchObject({ code: "UNREACHABLE" })
    const session = await relay.session(1)
    await until("closed", () => session.socket.readyState === session.socket.CLOSED)
    await again
    expect(client.isConnected).toBe(true)
  })

  it.each([
    [{ server: "http://localhost", name: "bob" }, "USAGE"],
    [{ server: "ws://u:p@localhost", name: "bob" }, "USAGE"],
    [{ server: "ws://localhost", name: "two words" }, "INVALID_NAME"],
  ])("refuses the invalid options %j", (options, code) => {
    expect(() => new AgentChatClient(options)).toThrow(expect.objectContaining({ code }))
  })

  it("rejects every call while there is no session", async () => {
    const client = new AgentChatClient({ server: "ws://127.0.0.1:1", name: "bob" })
    await expect(client.send("#general", "x")).rejects.toMatchObject({ code: "UNREACHABLE" })
    await expect(client.connect()).rejects.toMatchObject({ code: "UNREACHABLE" })
    await client.disconnect()
  })
})

describe("calls of AgentChatClient", () => {
  it("return the relay's answer", async () => {
    const { client } = await connect()
    expect(await client.join("#general")).toMatchObject({ channel: "#general", agents: ["@bbbbbbbb"] })
    expect(await client.createChannel("#secret", { inviteOnly: true })).toMatchObject({ channel: "#secret" })
    expect(client.channels).toEqual(["#general", "#secret"])
    expect(await client.listChannels()).toEqual([{ name: "#general", agents: 2, invite_only: false }])
    expect(await client.listAgents("#general")).toEqual([{ id: "@bbbbbbbb", name: "eve", status: "idle" }])
    expect(await client.listAgents()).toHaveLength(1)
    await client.invite("#secret", "@eve")
    await client.setPresence("working", "tests")
    expect(await client.ping()).toBeGreaterThanOrEqual(0)
    await client.leave("#secret")
    expect(client.channels).toEqual(["#general"])
  })

  it("send the frames of the protocol", async () => {
    const { relay, client } = await connect()
    await client.join("#general", { since: 7 })
    await client.createChannel("#open")
    await client.setPresence("idle")
    await client.send("#general", "hi", { id: "m1", inReplyTo: "x.1", kind: "inform", mentions: ["@eve"] })
    const { frames } = await relay.session()
    expect(frames.slice(1)).toEqual([
      { type: "JOIN", channel: "#general", since: 7, id: expect.any(String) as string },
      { type: "CREATE_CHANNEL", channel: "#open", invite_only: false, id: expect.any(String) as string },
      { type: "SET_PRESENCE", status: "idle", id: expect.any(String) as string },
      {
        type: "MSG",
        to: "#general",
        content: "hi",
        id: "m1",
        in_reply_to: "x.1",
        kind: "inform",
        mentions: ["@eve"],
      },
    ])
  })

  it("send the frames for roles, tasks, channels and cards", async () => {
    const done = ({ id }: { id?: string }) => ({ type: "ACK", re: id, ts: 1, state: "done" })
    const task = { task: "x.1", role: "reviewer", from: "@bbbbbbbb", name: "eve", content: "look" }
    const answers: FakeRelayOptions["answers"] = {
      PENDING: ({ id, target = "@aaaaaaaa" }) => ({
        type: "PENDING",
        re: id,
        target,
        count: 1,
        ids: ["x.1"],
      }),
      CLAIM: ({ id }) => ({ type: "TASK", re: id, ...task, lease_ms: 60_000, attempt: 1, ts: 1 }),
      EXTEND: done,
      DONE: done,
      FAIL: done,
      SET_CHANNEL: done,
    }
    const { relay, client } = await connect({ answers })
    expect(await client.pending("+reviewer")).toMatchObject({ target: "+reviewer", count: 1, ids: ["x.1"] })
    expect(await client.pending()).toMatchObject({ target: "@aaaaaaaa" })
    expect(await client.claim("x.1")).toMatchObject(task)
    await client.extend("x.1")
    await client.done("x.1", "fine")
    await client.fail("x.1", "no file")
    await client.setChannel("#general", { description: "all of us", window: "24h" })
    await client.setChannel("*", { replay: false })
    await client.createChannel("#kept", { durable: true, description: "for good" })
    await client.listAgents(undefined, { cards: true, agent: "@eve" })
    await client.setPresence("idle", undefined, "reviewer")
    await client.send("+reviewer", "look", { id: "m1", parts: [{ kind: "data", data: { a: [1] } }] })
    const frames = (await relay.session()).frames.slice(1).map(({ id: _id, ...frame }) => frame)
    expect(frames).toEqual([
      { type: "PENDING", target: "+reviewer" },
      { type: "PENDING" },
      { type: "CLAIM", task: "x.1" },
      { type: "EXTEND", task: "x.1" },
      { type: "DONE", task: "x.1", content: "fine" },
      { type: "FAIL", task: "x.1", reason: "no file" },
      { type: "SET_CHANNEL", channel: "#general", description: "all of us", window: "24h" },
      { type: "SET_CHANNEL", channel: "*", replay: false },
      {
        type: "CREATE_CHANNEL",
        channel: "#kept",
        durable: true,
        description: "for good",
        invite_only: false,
      },
      { type: "LIST_AGENTS", cards: true, agent: "@eve" },
      { type: "SET_PRESENCE", status: "idle", role: "reviewer" },
      { type: "MSG", to: "+reviewer", content: "look", parts: [{ kind: "data", data: { a: [1] } }] },
    ])
  })

  it("join and leave the channels that match a pattern", async () => {
    const { relay, client } = await connect({
      answers: { JOIN: ({ channel, id }) => ({ ...joined(channel, id), pattern: channel }) },
    })
    await client.join("#team.>")
    const session = await relay.session()
    session.send(
      { ...joined("#team.backend", undefined, 3), pattern: "#team.>" },
      joined("#forged", undefined),
    )
    await client.ping()
    expect(client).toMatchObject({ channels: ["#team.backend"], patterns: ["#team.>"] })
    await client.leave("#team.>")
    expect(client).toMatchObject({ channels: [], patterns: [] })
  })

  it("return an acknowledgement for a message", async () => {
    const { client } = await connect()
    expect(await client.send("#general", "hi", { id: "m1" })).toEqual({
      id: "me.m1",
      ts: 1_800_000_000_000,
      seq: 1,
      recipients: 2,
      isMember: true,
      isDuplicate: false,
    })
    expect((await client.dm("@eve", "hi", { id: "m2" })).id).toBe("me.m2")
  })

  it("pass a RATE_LIMITED on and delay nothing", async () => {
    const { client } = await connect({
      answers: {
        MSG: ({ id }) => ({
          type: "ERROR",
          re: id,
          code: "RATE_LIMITED",
          message: "slow",
          retry_after_ms: 900,
        }),
      },
    })
    await expect(client.send("#general", "x")).rejects.toMatchObject({
      code: "RATE_LIMITED",
      retryAfterMs: 900,
    })
  })

  it("refuse invalid names without asking the relay", async () => {
    const { relay, client } = await connect()
    await expect(client.join("general")).rejects.toMatchObject({ code: "INVALID_NAME" })
    await expect(client.send("general", "x")).rejects.toMatchObject({ code: "INVALID_NAME" })
    await expect(client.dm("#general", "x")).rejects.toMatchObject({ code: "INVALID_NAME" })
    await expect(client.invite("#a", "bob")).rejects.toMatchObject({ code: "INVALID_NAME" })
    expect((await relay.session()).frames).toHaveLength(1)
  })
})

const eve = "bbbbbbbb"

describe("events of AgentChatClient", () => {
  it("carry the relay's messages", async () => {
    const { relay, client } = await connect()
    const events: string[] = []
    client.on("agent_joined", ({ type }) => events.push(type))
    client.on("agent_left", ({ type }) => events.push(type))
    client.on("presence", ({ type }) => events.push(type))
    client.on("invite", ({ type }) => events.push(type))
    client.on("delivery", ({ type }) => events.push(type))
    client.on("task", ({ type }) => events.push(type))
    client.on("task_lost", ({ type }) => events.push(type))
    client.on("channel_changed", ({ type }) => events.push(type))
    const who = { agent: "@bbbbbbbb", name: "eve", ts: 1 }
    ;(await relay.session()).send(
      { type: "AGENT_JOINED", channel: "#general", ...who },
      { type: "AGENT_LEFT", channel: "#general", ...who },
      { type: "PRESENCE_CHANGED", status: "away", ...who },
      { type: "INVITE", channel: "#secret", from: "@bbbbbbbb", name: "eve", ts: 1 },
      { type: "DELIVERY", msg_id: "x.1", state: "mirrored", by: "@bbbbbbbb", ts: 1 },
      {
        type: "TASK",
        task: "bbbbbbbb.2",
        role: "reviewer",
        from: "@bbbbbbbb",
        name: "eve",
        content: "look",
        lease_ms: 1,
        attempt: 1,
        ts: 1,
      },
      { type: "TASK_LOST", task: "x.2", reason: "lease ended", ts: 1 },
      { type: "CHANNEL_CHANGED", channel: "#general", by: "@bbbbbbbb", settings: { replay: false }, ts: 1 },
    )
    await client.ping()
    expect(events).toEqual([
      "AGENT_JOINED",
      "AGENT_LEFT",
      "PRESENCE_CHANGED",
      "INVITE",
      "DELIVERY",
      "TASK",
      "TASK_LOST",
      "CHANNEL_CHANGED",
    ])
  })

  it("keep messages until the first listener is added", async () => {
    const { relay, client } = await connect()
    ;(await relay.session()).send(msg(`${eve}.1`, { replay: true }), msg(`${eve}.2`))
    await client.ping()
    const ids: string[] = []
    client.on("message", ({ msg_id: id }) => ids.push(id))
    await until("both messages", () => ids.length === 2)
    ;(await relay.session()).send(msg(`${eve}.3`))
    await client.ping()
    expect(ids).toEqual([`${eve}.1`, `${eve}.2`, `${eve}.3`])
  })

  it("keep the newest thousand messages while nobody listens", async () => {
    const { relay, client } = await connect()
    ;(await relay.session()).send(...Array.from({ length: 1_500 }, (_, i) => msg(`${eve}.${i}`)))
    await client.ping()
    const [first] = (await once(client, "message")) as [ServerMessage<"MSG">]
    expect(first.msg_id).toBe(`${eve}.500`)
    const ids: string[] = []
    client.on("message", ({ msg_id: id }) => ids.push(id))
    await until("the rest", () => ids.length === 999)
    expect(ids.at(-1)).toBe(`${eve}.1499`)
  })

  it("report errors that no call waits for, and do not throw without a listener", async () => {
    const { relay, client } = await connect()
    const session = await relay.session()
    session.send({ type: "ERROR", code: "LIMIT_REACHED", message: "first" })
    await client.ping()
    const failed = once(client, "error")
    session.send({ type: "ERROR", code: "LIMIT_REACHED", message: "second" })
    expect(await failed).toMatchObject([{ code: "LIMIT_REACHED", message: "second" }])
  })
})

describe("signatures and a client", () => {
  it("are made by one with an identity, for its relay, and not by one without", async () => {
    const identity = newIdentity()
    const { relay, client } = await connect({}, { identity })
    await client.send("#general", "hi", { id: "m1", kind: "inform" })
    const [frame] = await (await relay.session()).received("MSG")
    const { to, ts, sig } = frame?.signed ?? { to: "", ts: 0, sig: "" }
    const id = `${identity.agentId.slice(1)}.m1`
    const facts = { aud: "relay-1", from: identity.agentId, id, to, content: "hi", kind: "inform", ts }
    expect([to, signerOf(facts, sig)]).toEqual(["#general", identity.agentId])
    const other = await connect()
    await other.client.send("#general", "hi")
    const [plain] = await (await other.relay.session()).received("MSG")
    expect(plain).not.toHaveProperty("signed")
  })

  it("are checked: a lie is an error, and the events say what is verified", async () => {
    const author = newAuthor()
    const { relay, client } = await connect({}, { identity: newIdentity() })
    const errors: string[] = []
    const seen: [string, boolean][] = []
    client.on("error", ({ code }) => errors.push(code))
    client.on("message", ({ content, verified }) => seen.push([content, verified]))
    const self = client.agentId ?? ""
    const honest = signedMsg(author, { to: self, content: "true" })
    const { signed: _, ...stripped } = signedMsg(author, { to: "#general", content: "bare", id: "m2" })
    ;(await relay.session()).send(
      { ...honest, content: "false" },
      signedMsg(author, { to: "#secret" }, { reader: self }),
      honest,
      stripped,
    )
    await client.ping()
    expect(errors).toEqual(["VERIFICATION_FAILED", "VERIFICATION_FAILED"])
    expect(seen).toEqual([
      ["true", true],
      ["bare", false],
    ])
    expect((await (await relay.session()).received("RECEIVED"))[0]?.ids).toEqual([honest.msg_id])
  })
})

describe("direct messages to a persistent identity", () => {
  const dm = (id: string) => msg(`${eve}.${id}`, { to: "@bob" })

  it("are confirmed after the listeners ran, many in one frame", async () => {
    const { relay, client } = await connect({}, { identity: newIdentity() })
    const session = await relay.session()
    session.send(dm("1"), msg(`${eve}.2`), dm("3"))
    await client.ping()
    expect(session.frames.some(({ type }) => type === "RECEIVED")).toBe(false)
    const ids: string[] = []
    client.on("message", ({ msg_id: id }) => ids.push(id))
    expect(await session.received("RECEIVED")).toEqual([
      { type: "RECEIVED", ids: [`${eve}.1`, `${eve}.3`], retrieved: [`${eve}.1`, `${eve}.3`] },
    ])
    expect(ids).toEqual([`${eve}.1`, `${eve}.2`, `${eve}.3`])
  })

  it("are emitted once and confirmed again when the relay repeats them", async () => {
    const { relay, client } = await connect({}, { identity: newIdentity() })
    const session = await relay.session()
    const ids: string[] = []
    client.on("message", ({ msg_id: id }) => ids.push(id))
    session.send(dm("1"))
    await session.received("RECEIVED")
    session.send(dm("1"))
    await session.received("RECEIVED", 2)
    expect(ids).toEqual([`${eve}.1`])
  })

  it("are not confirmed by a client without an identity", async () => {
    const { relay, client } = await connect()
    const events = once(client, "message")
    ;(await relay.session()).send(dm("1"))
    await events
    await client.ping()
    expect((await relay.session()).frames.map(({ type }) => type)).toEqual(["IDENTIFY", "PING"])
  })
})

describe("the card and the role", () => {
  it("are sent to the relay", async () => {
    const answers = { IDENTIFY: () => welcome("bob", "@aaaaaaaa") }
    const { relay } = await connect({ answers }, { role: "builder", card: { a: 1 } })
    expect((await relay.session()).frames).toMatchObject([
      { type: "IDENTIFY", name: "bob", role: "builder", confirms_notices: true, card: { a: 1 } },
    ])
  })
})
