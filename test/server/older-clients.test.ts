import { describe, expect, it } from "vitest"
import { TestRelay } from "../kit/relay.js"

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
