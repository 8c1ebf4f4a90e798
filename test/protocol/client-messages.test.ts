import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isClientType } from "../../src/protocol/client-messages.js"
import { parseClientMessage, validateClientMessage } from "../../src/protocol/parse-message.js"
import { clientExamples as examples } from "../kit/client-examples.js"

function refusal(text: string): string {
  const result = parseClientMessage(text)
  if ("message" in result) throw new Error(`accepted: ${text}`)
  expect(result.refused.error.code).toBe("INVALID_MSG")
  return result.refused.error.message
}

describe("client messages", () => {
  it.each(Object.entries(examples))("%s is parsed with all its fields", (type, fields) => {
    const result = parseClientMessage(JSON.stringify({ type, id: "a-1", ...fields }))
    expect(result).toEqual({ message: { type, id: "a-1", ...fields } })
  })

  it.each(Object.entries(examples))("%s drops unknown fields", (type, fields) => {
    const result = parseClientMessage(JSON.stringify({ from: "@forged", extra: 1, type, ...fields }))
    expect(result).toEqual({ message: { type, ...fields } })
  })

  it.each([
    [{ kind: "text", text: "t" }],
    [{ kind: "data", data: { b: [1, { c: null }], a: "é" } }],
    [{ kind: "data", data: null }],
    [{ z: 1, kind: "com.example.diff", a: [] }],
  ])("keeps the message part %j byte for byte", (part) => {
    const frame = JSON.stringify({ type: "MSG", to: "#a", content: "", parts: [part] })
    const { message } = parseClientMessage(frame) as { message: object }
    expect(JSON.stringify((message as { parts: object[] }).parts[0])).toBe(JSON.stringify(part))
  })

  it.each(["MSG", "FORECAST"])("refuses an empty %s without parts", (type) => {
    for (const content of ["", " ", "\n\t"]) {
      const parsed = parseClientMessage(JSON.stringify({ type, to: "#a", content, id: "m" }))
      expect(parsed).toMatchObject({
        refused: {
          error: {
            message: `${type}.content: is empty, and there are no parts`,
            hint: "write a text, or attach parts",
          },
          id: "m",
        },
      })
    }
    expect(parseClientMessage(JSON.stringify({ type, to: "#a", content: "", parts: [] }))).toHaveProperty(
      "refused",
    )
  })

  it.each([{ kind: "diff" }, { kind: "text" }, { kind: "data" }, {}, null, "x", { kind: "Com.Example" }])(
    "refuses the message part %j and names its place",
    (part) => {
      const frame = JSON.stringify({
        type: "MSG",
        to: "#a",
        content: "",
        parts: [{ kind: "data", data: 1 }, part],
      })
      expect(refusal(frame)).toMatch(/^MSG\.parts\.1: must be /)
    },
  )

  it.each([
    ["[]", "frame: must be a JSON object"],
    ["nonsense", /^frame: /],
    ['{"type":"MSG","type":"PING"}', "type: duplicate key"],
    ['{"content":"x"}', "type: must be a string"],
    ['{"type":"toString"}', 'type: "toString" is not a message of this protocol'],
    ['{"type":"msg"}', 'type: "msg" is not a message of this protocol'],
    ['{"type":"PING","id":""}', /^id: must be 1-64/],
    ['{"type":"PING","id":7}', /^id: /],
    ['{"type":"MSG","content":"x"}', "MSG.to: is missing"],
    ['{"type":"MSG","to":"general","content":"x"}', "MSG.to: must be a #channel, an @agent or a +role"],
    ['{"type":"MSG","to":"#a","content":5}', "MSG.content: must be a string"],
    ['{"type":"MSG","to":"#a","content":"x","kind":"shout"}', /^MSG.kind: must be one of request/],
    ['{"type":"JOIN","channel":"#a","since":-1}', "JOIN.since: must not be negative"],
    ['{"type":"JOIN","channel":"#a","since":1.5}', "JOIN.since: must be a whole number"],
    ['{"type":"SET_PRESENCE","status":"offline"}', /^SET_PRESENCE.status: must be one of idle/],
    ['{"type":"RECEIVED","up_to":{"x":1}}', /^RECEIVED.up_to/],
    [
      '{"type":"LIST_PROPOSALS","proposal":"p 1"}',
      "LIST_PROPOSALS.proposal: must be 8-64 letters, digits, _ or -",
    ],
    ['{"type":"ACCEPT","v":2}', "ACCEPT.v: must be 1"],
    ['{"type":"PROPOSAL","v":1,"from":"@bob"}', "PROPOSAL.from: must be a did:key"],
  ])("%s is refused with the field at fault", (text, message) => {
    expect(refusal(text)).toMatch(message)
  })

  it("are refused with an error that repeats the id of the frame", () => {
    expect(parseClientMessage('{"type":"MSG","id":"q1","to":"#a"}')).toMatchObject({ refused: { id: "q1" } })
  })

  it("are refused with an error of bounded length", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 5000 }),
        fc.constantFrom("type", "to", "id", "kind"),
        (text, key) => {
          const frame = { type: "MSG", to: "#a", content: "x", [key]: text.repeat(10) }
          const result = validateClientMessage(frame)
          if ("refused" in result) expect(result.refused.error.message.length).toBeLessThan(200)
        },
      ),
    )
  })

  it("do not include names inherited from Object", () => {
    for (const name of ["toString", "constructor", "__proto__", "hasOwnProperty", ""]) {
      expect(isClientType(name)).toBe(false)
    }
  })
})
