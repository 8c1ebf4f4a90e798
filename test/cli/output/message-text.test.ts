import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatMessage, makeColors } from "../../../src/cli/output/message-text.js"

const plain = makeColors(false)
const hostile = "\u001b[2J\u0007\r\n\u202e\u200b\u009b31m"
const types = [
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
