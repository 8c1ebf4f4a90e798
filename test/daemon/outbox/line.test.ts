import { describe, expect, it } from "vitest"
import { readOutboxLine } from "../../../src/daemon/outbox/line.js"
import { outboxTypes } from "../../../src/protocol/client-messages.js"
import { clientExamples } from "../../kit/client-examples.js"

const read = (line: string | Uint8Array) => readOutboxLine(Buffer.from(line as string))
const accepted = (line: string | Uint8Array) => {
  const result = read(line)
  return "frame" in result ? result.frame : undefined
}
const refused = (line: string | Uint8Array) => {
  const result = read(line)
  if ("frame" in result) throw new Error(`accepted: ${String(line)}`)
  const { message, hint, code } = result.bad.error
  return { message, hint, code, id: result.bad.id }
}

describe("an outbox line", () => {
  it("is a MSG unless it has a type", () => {
    expect(accepted('{"to":"#general","content":"hi"}')).toEqual({
      type: "MSG",
      to: "#general",
      content: "hi",
    })
    expect(accepted('{"type":"JOIN","channel":"#a.b"}')).toEqual({ type: "JOIN", channel: "#a.b" })
  })

  it("keeps its own id and drops unknown fields", () => {
    expect(accepted('{"to":"@bob","content":"x","id":"job-7","colour":"red"}')).toEqual({
      type: "MSG",
      to: "@bob",
      content: "x",
      id: "job-7",
    })
  })

  it("may end in a carriage return, be surrounded by spaces or begin with a byte order mark", () => {
    expect(accepted('  {"to":"#a","content":"x"}\t\r')).toBeDefined()
    expect(accepted('\ufeff{"to":"#a","content":"x"}')).toBeDefined()
  })

  const drafts: Readonly<Record<string, object>> = {
    PROPOSAL: { to: "@b", task: "x" },
    ACCEPT: { proposal_id: "prop_12345678" },
    REJECT: { proposal_id: "prop_12345678" },
    COMPLETE: { proposal_id: "prop_12345678" },
    MODERATE: clientExamples.MODERATE,
    DISPUTE: { proposal_id: "prop_12345678", reason: "x" },
  }

  it.each(outboxTypes)("may be a %s", (type) => {
    const message = { task: "b.1", to: "#a", content: "x", channel: "#a", agent: "@b", status: "idle" }
    const more = { attention: "open", repo: "shop", paths: ["a"] }
    const fields = drafts[type] ?? { ...message, ...more }
    expect(accepted(JSON.stringify({ type, ...fields }))).toMatchObject({ type })
  })

  it.each(["IDENTIFY", "VERIFY_IDENTITY", "RECEIVED", "toString", "__proto__"])("may not be %s", (type) => {
    expect(refused(JSON.stringify({ type, name: "x", channel: "#a" })).message).toBe(
      `type: "${type}" is not a type of outbox line`,
    )
  })

  it.each([
    ["join", "JOIN"],
    ["JION", "JOIN"],
    ["LEAVES", "LEAVE"],
    ["MGS", "MSG"],
    ["set-presence", "SET_PRESENCE"],
    ["propose", "PROPOSAL"],
    ["send", "MSG"],
    ["presence", "SET_PRESENCE"],
    ["create", "CREATE_CHANNEL"],
  ])("is rejected if its type is %s, with the hint %s", (type, close) => {
    expect(refused(JSON.stringify({ type, channel: "#a", id: "k" }))).toMatchObject({
      hint: `did you mean "${close}"?`,
      id: "k",
    })
  })
})

describe("a bad outbox line", () => {
  it.each([
    [
      '{"to":"general","content":"x"}',
      'to: "general" is neither a #channel nor an @agent',
      'did you mean "#general"?',
    ],
    [
      '{"to":"bob","content":"x"}',
      'to: "bob" is neither a #channel nor an @agent',
      'did you mean "#bob" or "@bob"?',
    ],
    ['{"type":"JOIN","channel":"dev"}', "channel: must be a #channel, or a pattern", 'did you mean "#dev"?'],
    ['{"type":"INVITE","channel":"#dev","agent":"#bob"}', "agent: must be @", 'did you mean "@bob"?'],
    ['{"to":"#a","text":"x"}', "content: is missing", 'call it "content" instead of "text"'],
    ['{"channel":"#a","content":"x"}', "to: is missing", 'call it "to" instead of "channel"'],
    ["{}", "to: is missing", "echo '{"],
    ['{"to":"#a","content":7}', "content: must be a string", 'put it in double quotes: "content":"…"'],
    ['{"to":"#a","content":{"a":1}}', "content: must be a string", "put it in double quotes"],
    ['{"type":7}', "type: must be a string", undefined],
    ['{"to":"#a","content":"x","id":""}', "id: must be 1-64", undefined],
    ['{"to":"#a","to":"#b","content":"x"}', "to: duplicate key", undefined],
    ['{"to":"#a","content":"\\ud800"}', "content: lone surrogate", undefined],
    ["[1]", "the line is not a JSON object", "echo '{"],
    ['"hello"', "the line is not a JSON object", "echo '{"],
    [`{"a":${"[".repeat(40)}${"]".repeat(40)}}`, "the line is nested deeper than 16", undefined],
  ])("%s is rejected with the reason and a hint", (line, message, hint) => {
    const answer = refused(line)
    expect(answer.code).toBe("INVALID_MSG")
    expect(answer.message).toContain(message)
    if (hint === undefined) expect(answer.hint).toBeUndefined()
    else expect(answer.hint).toContain(hint)
  })

  it.each([
    ["hello", 'column 1: unexpected "h", expected a value', "a line holds one complete object"],
    [
      "{to:#general}",
      'column 2: unexpected "t", expected a name in "double quotes"',
      "the whole line in single ones",
    ],
    ["{'to':'#a'}", `column 2: unexpected "'", expected a name`, "double quotes"],
    ['{"to":“#a”}', 'column 7: unexpected "“", expected a value', "double quotes"],
    ['{"to":"#a","content":"hi\\!"}', 'column 25: invalid escape: a backslash before "!"', "a ! needs none"],
    [
      '{"to":"#a","content":"a\tb"}',
      "column 24: unexpected control character U+0009 inside a string",
      "write a tab as \\t",
    ],
    ['{"to":"#a","content":"a\0b"}', "column 24: unexpected NUL byte inside a string", "controls as \\u00XX"],
    [
      '{"to":"#a","content":"first',
      "column 28: unexpected end inside a string",
      "write a line break inside a text as \\n",
    ],
    ['{"to":"#a",}', 'column 12: unexpected comma before "}"', "remove the last comma"],
    ['{"to":"#a"} {"to":"#b"}', "column 13: unexpected text after the value", "write one object per line"],
    ['{"to":"#a"', 'column 11: unexpected end, expected "," or "}"', "a line holds one complete object"],
    ['{"to" "#a"}', 'column 7: unexpected "\\"", expected ":"', "double quotes"],
    ['{"😀":1,"to":x}', 'column 13: unexpected "x", expected a value', "double quotes"],
    ["\0\0\0", "column 1: unexpected NUL byte, expected a value", "one complete object"],
    ['{"a":01}', 'column 7: unexpected "1", expected "," or "}"', "double quotes"],
  ])("names the column in %j", (line, message, hint) => {
    expect(refused(line).message).toContain(message)
    expect(refused(line).hint).toContain(hint)
  })

  it("is rejected as not UTF-8 if it is in another encoding", () => {
    expect(refused(Buffer.from('{"to":"#a","content":"\xe4"}', "latin1"))).toMatchObject({
      message: "the line is not valid UTF-8",
      hint: "write it as UTF-8 (iconv -f latin1 -t utf-8)",
    })
  })

  it("is never quoted back at length", () => {
    const long = "x".repeat(10_000)
    expect(refused(JSON.stringify({ to: long, content: "" })).message.length).toBeLessThan(160)
    expect(refused(JSON.stringify({ type: long })).message.length).toBeLessThan(160)
  })
})
