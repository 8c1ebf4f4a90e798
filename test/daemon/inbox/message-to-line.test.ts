import { describe, expect, it } from "vitest"
import { formatBody, formatNumbered, readDirectId, readLineId } from "../../../src/daemon/inbox/line.js"
import { joinedLine, lostTaskLine, messageToLine } from "../../../src/daemon/inbox/message-to-line.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"

const self = "@aaaaaaaaaaaaaaaa"
const from = "@bbbbbbbbbbbbbbbb"
const message: ServerMessage<"MSG"> = {
  type: "MSG",
  from,
  name: "bob",
  to: self,
  content: "hi",
  ts: 1,
  msg_id: "bbbbbbbbbbbbbbbb.1",
  hops: 0,
}
const task: ServerMessage<"TASK"> = {
  type: "TASK",
  task: "bbbbbbbbbbbbbbbb.2",
  role: "coder",
  from,
  name: "bob",
  content: "do it",
  lease_ms: 60_000,
  attempt: 1,
  ts: 2,
}
const bytesOf = (from: ServerMessage) => {
  const line = messageToLine(from, self)?.line
  if (line === undefined) throw new Error("not mirrored")
  return Buffer.from(formatNumbered(7, [formatBody(line)], 0).trimEnd())
}

describe("messageToLine", () => {
  it("copies the parts, and takes no id from them", () => {
    const parts = [{ kind: "data", data: { msg_id: "evil.1", to: "@x" } }]
    expect(messageToLine({ ...message, parts }, self)?.line).toMatchObject({ parts })
    expect(readLineId(bytesOf({ ...message, parts }))).toBe(message.msg_id)
    expect(readLineId(bytesOf({ ...task, parts }))).toBe("task bbbbbbbbbbbbbbbb.2 1")
    const card = { meta: { msg_id: "evil.2" } }
    const roster = [{ id: from, name: "bob", status: "idle", card }]
    expect(readLineId(bytesOf({ type: "AGENTS", re: "mine", list: [from], roster }))).toBeUndefined()
  })

  it("gives a task its worker's fields and an id per attempt", () => {
    const first = messageToLine(task, self)
    expect(first).toEqual({ line: { ...task, verified: false }, msgId: "task bbbbbbbbbbbbbbbb.2 1" })
    expect(messageToLine({ ...task, attempt: 2 }, self)?.msgId).not.toBe(first?.msgId)
    expect(messageToLine({ ...task, re: "cli-1" }, self)).toBeUndefined()
    expect(messageToLine({ ...task, re: "mine" }, self)?.line).not.toHaveProperty("re")
  })

  it("makes direct messages that readDirectId recognizes", () => {
    expect(readDirectId(bytesOf(message))).toBe(message.msg_id)
    expect(readDirectId(bytesOf(task))).toBe(task.task)
    expect(readDirectId(bytesOf({ ...message, to: "#general", content: '"to":"@x"' }))).toBeUndefined()
    expect(readDirectId(Buffer.from('{"seq":1,"type":"MSG","to":"@'))).toBeUndefined()
  })

  it("includes messages to yourself, but not those you posted to a channel", () => {
    expect(messageToLine({ ...message, from: self }, self)).toBeDefined()
    expect(messageToLine({ ...message, from: self, to: "#general", replay: true }, self)).toBeUndefined()
  })

  it("includes answers to outbox lines, but not those to CLI commands", () => {
    const pending: ServerMessage = { type: "PENDING", re: "mine", target: self, count: 0, ids: [] }
    expect(messageToLine(pending, self)?.line).toEqual(pending)
    expect(messageToLine({ ...pending, re: "cli-1" }, self)).toBeUndefined()
    const changed: ServerMessage = { type: "CHANNEL_CHANGED", channel: "#a", by: from, settings: {}, ts: 1 }
    expect(messageToLine(changed, self)?.line).toEqual(changed)
  })

  it("describes a joined channel only if it has settings to read", () => {
    const joined: ServerMessage<"JOINED"> = {
      type: "JOINED",
      channel: "#a",
      agents: [],
      roster: [],
      count: 0,
      seq: 0,
      invite_only: false,
    }
    expect(joinedLine(joined)).toBeUndefined()
    expect(joinedLine({ ...joined, settings: { replay: false, description: "" } })).toBeUndefined()
    const settings = { instructions: "be brief" }
    expect(joinedLine({ ...joined, pattern: "#>", settings })).toEqual({
      type: "JOINED",
      channel: "#a",
      pattern: "#>",
      settings,
    })
  })

  it("shortens the reason of a lost task", () => {
    expect(String(lostTaskLine("b.1", "x".repeat(9_000), 1)["reason"])).toHaveLength(500)
  })
})
