import { describe, expect, it } from "vitest"
import { TestRelay } from "../kit/relay.js"

const now = 1_706_889_602_000
/** Frames of the clients of the first AgentChat: what its library, its MCP server and its daemon send, and the answers. */
const recorded: [type: string, answers: string[], frame: object][] = [
  ["JOIN", ["JOINED"], { channel: "#general" }],
  ["LEAVE", ["LEFT"], { channel: "#general" }],
  ["MSG", ["ACK"], { to: "#general", content: "hello" }],
  ["MSG", ["ACK"], { to: "#general", content: "signed", ts: now, sig: "c2lnbmF0dXJl" }],
  ["MSG", ["ACK"], { to: "@new", content: "direct", in_reply_to: "msg_1706889601_x", ts: now, sig: "c2ln" }],
  ["LIST_CHANNELS", ["CHANNELS"], {}],
  ["LIST_AGENTS", ["AGENTS"], { channel: "#general" }],
  ["CREATE_CHANNEL", ["JOINED"], { channel: "#private", invite_only: true }],
  ["PING", ["PONG"], {}],
  ["SET_PRESENCE", ["ACK"], { status: "online" }],
  ["SET_PRESENCE", ["ACK"], { status: "listening", status_text: null }],
  ["SET_PRESENCE", ["ACK"], { status: "busy", status_text: "x".repeat(500) }],
  ["SET_PRESENCE", ["ACK"], { status: "offline" }],
  ["SET_NICK", [], { nick: "older" }],
  ["TYPING", [], { channel: "#general" }],
  ["FILE_CHUNK", [], { to: "@new", content: '{"transferId":"t","chunk":0,"data":"AAAA"}' }],
  ["RESPONDING_TO", [], { msg_id: "m1", channel: "#general", started_at: now }],
  [
    "REGISTER_SKILLS",
    [],
    { skills: [{ capability: "code_review", rate: 5, currency: "TEST" }], sig: "c2ln" },
  ],
  ["SEARCH_SKILLS", [], { query: { capability: "code" }, query_id: "q1" }],
  ["VERIFY_REQUEST", [], { target: "@new", nonce: "0123456789abcdef0123456789abcdef" }],
  ["VERIFY_RESPONSE", [], { request_id: "r1", nonce: "0123456789abcdef", sig: "c2ln" }],
  ["CAPTCHA_RESPONSE", [], { captcha_id: "c1", answer: "70" }],
  ["ADMIN_LIST", [], { admin_key: "k" }],
]

/** Connects a client of the first AgentChat without a key. */
async function enterOlder(relay: TestRelay) {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name: "old", pubkey: null })
  await wire.next("WELCOME")
  return wire
}

describe("a relay with --compat", () => {
  it("translates the presence of the first AgentChat", async () => {
    const relay = await TestRelay.start({ compat: true })
    const old = await enterOlder(relay)
    const { wire } = await relay.enter("new")
    for (const [status, shown] of [
      ["online", "idle"],
      ["listening", "waiting"],
      ["busy", "working"],
      ["away", "away"],
    ]) {
      old.say({ type: "SET_PRESENCE", status, status_text: "session 34" })
      expect((await old.settle()).map(({ type }) => type)).toEqual(["ACK"])
      expect(await wire.ask({ type: "LIST_AGENTS", agent: "@old" })).toMatchObject({
        roster: [{ status: shown, activity: "session 34" }],
      })
    }
  })

  it("answers none of its messages that have no counterpart, because an ERROR ends its clients", async () => {
    const relay = await TestRelay.start({ compat: true })
    const old = await enterOlder(relay)
    old.say(
      { type: "SET_NICK", nick: "older" },
      { type: "TYPING", channel: "#general" },
      { type: "FILE_CHUNK", to: "@new", content: "x" },
      { type: "RESPONDING_TO", msg_id: "m", channel: "#general", started_at: 1 },
    )
    expect(await old.settle()).toEqual([])
  })

  it("lists agents to its clients as objects, and to others as ids", async () => {
    const relay = await TestRelay.start({ compat: true })
    const old = await enterOlder(relay)
    const { wire, id } = await relay.enter("new", "#general")
    expect(await old.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({
      list: [{ id, name: "new", presence: "online" }],
    })
    expect(await wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({ list: [id] })
  })

  it("lists the agents of a channel to its clients as objects when they join or make it", async () => {
    const relay = await TestRelay.start({ compat: true })
    const old = await enterOlder(relay)
    const { id } = await relay.enter("new", "#general")
    const joined = await old.ask({ type: "JOIN", channel: "#general" })
    expect(joined).toMatchObject({
      type: "JOINED",
      agents: expect.arrayContaining([
        { id, name: "new", verified: false, presence: "online" },
        expect.objectContaining({ name: "old", verified: false }),
      ]),
    })
    expect(await old.ask({ type: "CREATE_CHANNEL", channel: "#mine", invite_only: false })).toMatchObject({
      type: "JOINED",
      agents: [expect.objectContaining({ name: "old" })],
    })
  })

  it.each(recorded)("accepts a recorded %s of its clients, and answers %j", async (type, answers, frame) => {
    const relay = await TestRelay.start({ compat: true })
    await relay.enter("new", "#general")
    const old = await enterOlder(relay)
    await old.ask({ type: "JOIN", channel: "#general" })
    await old.settle()
    // Without an id, as they send it: the answer is the next message of a type.
    old.say({ type, ...frame })
    const types = (await old.settle()).map((message) => message.type)
    expect(types).toEqual(answers)
  })

  it("refuses its deals with a sentence that says why", async () => {
    const relay = await TestRelay.start({ compat: true })
    const old = await enterOlder(relay)
    const { id } = await relay.enter("new")
    expect(await old.ask({ type: "PROPOSAL", to: id, task: "x", amount: null, sig: "c2ln" })).toMatchObject({
      code: "INVALID_MSG",
      message:
        "PROPOSAL: deals of the first AgentChat are not accepted, because its signatures do not prove a deal to others",
    })
  })
})

describe("a relay without --compat", () => {
  it("names it in the errors of what the first AgentChat sends", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("old")
    for (const frame of [
      { type: "TYPING", channel: "#general" },
      { type: "SET_NICK", nick: "x" },
      { type: "SET_PRESENCE", status: "online" },
    ]) {
      expect(await wire.ask(frame)).toMatchObject({ message: expect.stringContaining("serve --compat") })
    }
  })

  it("counts a field that is null as absent", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: null, role: null })
    await wire.next("WELCOME")
    expect(await wire.ask({ type: "MSG", to: "#general", content: "x", in_reply_to: null })).toMatchObject({
      type: "ACK",
    })
    expect(await wire.ask({ type: "MSG", to: null, content: "x" })).toMatchObject({ code: "INVALID_MSG" })
  })
})
