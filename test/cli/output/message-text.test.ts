import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatMessage, type Look, makeColors } from "../../../src/cli/output/message-text.js"
import { serverMessages } from "../../../src/protocol/server-messages.js"

const bob = "@aaaaaaaa"
const noon = new Date(2026, 10, 29, 12).getTime()
const plain: Look = { colors: makeColors(false), nowMs: 0 }
const hostile = "\u001b[2J\u0007\r\n\u202e\u200b\u009b31m"
const types = [
  "PROPOSAL",
  "ACCEPT",
  "REJECT",
  "COMPLETE",
  "DISPUTE",
  "GUARD",
  "GUARDS",
  "FORECAST",
  "LEFT",
  "MSG",
  "AGENT_JOINED",
  "AGENT_LEFT",
  "INVITE",
  "PRESENCE_CHANGED",
  "REJECTED",
  "NOTICE",
  "JOINED",
  "CHANNEL_CHANGED",
  "TASK",
  "TASK_LOST",
  "PENDING",
  "CHANNELS",
  "AGENTS",
  "INBOX_ROTATED",
  "SOMETHING_NEW",
  "constructor",
]

describe("formatMessage", () => {
  it("shows the target, the sender and the text", () => {
    const message = {
      type: "MSG",
      seq: 7,
      from: "@aaaaaaaa",
      name: "bob",
      to: "#general",
      content: "hi",
      ts: 0,
    }
    expect(formatMessage(message, plain)).toMatch(/^7 \d\d:\d\d:\d\d #general bob @aaaaaaaa: hi$/)
    expect(formatMessage({ ...message, replay: true }, plain)).toContain(" (earlier) #general bob")
    expect(formatMessage({ ...message, to: "@bbbbbbbb" }, plain)).toContain(" to you: bob @aaaaaaaa: hi")
    expect(formatMessage({ ...message, to: "@bbbbbbbb", self: true }, plain)).toContain("(own) @bbbbbbbb bob")
  })

  it("warns of a message that the key of its sender has not signed", () => {
    const message = { type: "MSG", name: "eve", to: "#a", content: "hi", ts: noon }
    const textOf = (more: object) => formatMessage({ ...message, ...more }, { ...plain, nowMs: noon })
    const keyed = "@7f3a9c0e1b2d4f56"
    expect(textOf({ from: keyed, verified: false })).toBe(`12:00:00 #a eve ${keyed} (unverified): hi`)
    expect(textOf({ from: keyed, verified: true })).toBe(`12:00:00 #a eve ${keyed}: hi`)
    expect(textOf({ from: bob, verified: false })).toBe(`12:00:00 #a eve ${bob}: hi`)
  })

  it("shows a task, who asked, and the attempt", () => {
    const task = {
      type: "TASK",
      task: "a.1",
      role: "reviewer",
      from: "@aaaaaaaa",
      name: "ann",
      content: "look",
      ts: 0,
    }
    expect(formatMessage(task, plain)).toMatch(/ task a\.1 for \+reviewer, from ann @aaaaaaaa: look$/)
    expect(formatMessage({ ...task, attempt: 2 }, plain)).toContain("+reviewer (attempt 2), from ann")
    expect(formatMessage({ type: "TASK_LOST", task: "a.1", reason: "late", ts: 0 }, plain)).toContain(
      "task a.1 is no longer yours: late",
    )
  })

  it("shows the settings of a channel, and that a message has parts", () => {
    const settings = { description: "patches", replay: false, window: "24h" }
    const changed = { type: "CHANNEL_CHANGED", channel: "#review", settings, ts: 0 }
    expect(formatMessage(changed, plain)).toContain(
      "#review has new settings: patches; replay off; window 24h",
    )
    const entered = { type: "JOINED", channel: "#review", settings: { instructions: "be brief" } }
    expect(formatMessage(entered, plain)).toContain("you are in #review: be brief")
    const message = {
      type: "MSG",
      from: "@aaaaaaaa",
      to: "#general",
      content: "hi",
      parts: [{ kind: "data" }],
    }
    expect(formatMessage(message, plain)).toContain(": hi (+1 in parts)")
  })

  it("says that the author of a question waits, and until when", () => {
    const question = {
      type: "MSG",
      from: bob,
      name: "bob",
      to: "@bbbbbbbb",
      content: "which port?",
      ts: noon,
    }
    const asked = { ...question, wait_ms: 60_000 }
    const at = (nowMs: number) => formatMessage(asked, { ...plain, nowMs })
    expect(at(noon + 1)).toContain("to you: bob @aaaaaaaa asks, waits until 12:01: which port?")
    expect(at(noon + 60_000)).toContain("bob @aaaaaaaa asked, waited until 12:01: which port?")
    expect(formatMessage(question, plain)).not.toContain("wait")
  })

  it("shows the date of a message of another day", () => {
    const message = { type: "MSG", seq: 3, from: bob, to: "#general", content: "hi", ts: noon }
    expect(formatMessage(message, { ...plain, nowMs: noon + 1 })).toMatch(/^3 12:00:00 /)
    expect(formatMessage(message, { ...plain, nowMs: noon + 86_400_000 })).toMatch(/^3 2026-11-29 12:00:00 /)
  })

  it("cuts a text after 2,000 characters and names the command that prints all of it", () => {
    const message = { type: "MSG", seq: 3, from: bob, to: "#general", content: "x".repeat(5_000), ts: 0 }
    const text = formatMessage(message, { ...plain, commandFor: (seq) => `agentchat inbox --show ${seq}` })
    expect(text).toContain(
      `${"x".repeat(2_000)}… (cut, 5000 characters; all of it: agentchat inbox --show 3)`,
    )
    expect(formatMessage({ ...message, content: "\u001b".repeat(1_999) }, plain).length).toBeLessThan(2_100)
    expect(formatMessage({ ...message, content: "x".repeat(2_000) }, plain)).not.toContain("cut")
  })

  it("shows deals in words", () => {
    const by = { from: bob, name: "bob", ts: noon, state: "pending" }
    const look = { ...plain, nowMs: noon }
    const offer = {
      type: "PROPOSAL",
      id: "prop_1",
      task: "review",
      amount: "0.05",
      currency: "SOL",
      expires: 3600,
    }
    expect(formatMessage({ ...by, ...offer }, look)).toContain(
      "bob @aaaaaaaa proposes prop_1: a deal for 0.05 SOL, answer by 13:00: review",
    )
    const words: [object, string][] = [
      [{ type: "ACCEPT" }, "bob @aaaaaaaa accepts prop_1"],
      [{ type: "REJECT", reason: "no time" }, "rejects prop_1: no time"],
      [
        { type: "COMPLETE", proof: "commit 1a2b", self: true },
        "(own) bob @aaaaaaaa has completed prop_1: commit 1a2b",
      ],
      [{ type: "DISPUTE", fault: "other", reason: "red" }, "disputes prop_1, fault: other: red"],
    ]
    for (const [deal, text] of words)
      expect(formatMessage({ ...by, proposal_id: "prop_1", ...deal }, look)).toContain(text)
  })

  it("shows a guard in words", () => {
    const guard = {
      type: "GUARD",
      state: "tripped",
      layer: "same",
      scope: "#general",
      reason: "said twice",
      ts: noon,
    }
    expect(
      formatMessage({ ...guard, retry_after_ms: 60_000, hint: "wait" }, { ...plain, nowMs: noon }),
    ).toContain("guard same stops #general, until 12:01: said twice (wait)")
    expect(formatMessage({ ...guard, state: "lifted" }, plain)).toContain("lifts its stop of #general")
  })

  it("has words for every message that a daemon writes to the inbox", () => {
    const written = Object.entries(serverMessages).filter(([, row]) => "inbox" in row)
    for (const [type] of written) expect(formatMessage({ type, ts: 0 }, plain)).not.toContain("{")
  })

  it.each(types)("formats %s as one line without control characters", (type) => {
    const fields = [
      "from",
      "name",
      "to",
      "content",
      "channel",
      "agent",
      "status",
      "activity",
      "reason",
      "id",
      "hint",
    ]
    const members = Object.fromEntries(fields.map((field) => [field, hostile]))
    const text = formatMessage({ ...members, type, list: [hostile, { name: hostile }] }, plain)
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it("accepts messages of any shape", () => {
    const anything = fc.dictionary(
      fc.constantFrom("ts", "list", "agents", "content", "from", "name", "to"),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(fc.constantFrom(...types), anything, (type, members) => {
        expect(formatMessage({ ...members, type }, plain)).not.toMatch(/\p{Cc}/u)
      }),
    )
  })
})
