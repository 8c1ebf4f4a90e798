import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { JsonError, parseStrictJson } from "../../src/base/strict-json.js"
import { parseClientMessage, validateClientMessage } from "../../src/protocol/parse-message.js"

const value = fc.oneof(
  fc.constantFrom(
    "#general",
    "@bob",
    "general",
    "m1",
    "inform",
    "",
    "a b",
    'a"b',
    "é",
    "\n",
    "\u007f",
    "\u2028",
  ),
  fc.string({ maxLength: 70 }),
  fc.constantFrom(null, 0, true, [], {}),
)
const key = fc.constantFrom("id", "to", "content", "to", "content", "kind", "other", "type")
const space = fc.constantFrom("", "", "", "", " ")

/** The text of a message whose members come in any order, some of them twice or with spaces between. */
const frame = fc
  .tuple(
    fc.constantFrom("MSG", "MSG", "MSG", "JOIN"),
    fc.array(fc.tuple(key, value), { maxLength: 5 }),
    space,
  )
  .map(([type, members, gap]) => {
    const texts = [["type", type] as const, ...members].map(
      ([name, member]) => `${JSON.stringify(name)}:${gap}${JSON.stringify(member)}`,
    )
    return `{${texts.join(",")}}`
  })

/** The result of the schema, without the fast path. */
function judge(text: string): ReturnType<typeof validateClientMessage> | "not JSON" {
  try {
    return validateClientMessage(parseStrictJson(text))
  } catch (error) {
    if (error instanceof JsonError) return "not JSON"
    throw error
  }
}

function expectSame(text: string): void {
  const [found, expected] = [parseClientMessage(text), judge(text)]
  if (expected === "not JSON") expect(found).toHaveProperty("refused")
  else expect(found).toEqual(expected)
}

describe("a plain message", () => {
  it.each([
    '{"type":"MSG","to":"#general","content":"hi"}',
    '{"type":"MSG","id":"m1","to":"#general","content":""}',
    '{"type":"MSG","to":"#general","content":"  "}',
    '{"type":"MSG","to":"@bob","content":"hi","id":"m1"}',
    '{"type":"MSG","id":"m1","to":"@bob","content":"hi","id":"m1"}',
    '{"type":"MSG","to":"@bob","content":"hi","id":"a b"}',
    '{"type":"MSG","to":"nobody","content":"hi"}',
    '{"type":"MSG","to":"#general","content":"\u0001"}',
    '{"type":"MSG","to":"#general","content":"hi"}}',
    '{"type":"MSG","to":"#general","content":"hi"}\n',
    '{"type":"MSG","to":"#general","content":"hi","kind":"inform"}',
    '{"type":"MSG","to":"#general","content":"hi","signed":{"to":"#general","ts":1,"sig":"a..b"}}',
    '{"type":"MSG","to":"@bob","content":"hi","id":"m1","signed":{"to":"@7f3a9c0e1b2d4f56","ts":1770000000000,"sig":"a..b"}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"to":"bob","ts":1,"sig":"a..b"}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"to":"@bob","ts":01,"sig":"a..b"}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"to":"@bob","ts":9999999999999999,"sig":"a..b"}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"to":"@bob","ts":1,"sig":"a","x":1}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"ts":1,"to":"@bob","sig":"a"}}',
    '{"type":"MSG","to":"@bob","content":"hi","signed":{"to":"@bob","ts":1,"sig":"a"},"id":"m1"}',
  ])("is read the same with and without the JSON parser: %j", expectSame)

  it("is accepted if and only if the schema accepts it", () => {
    fc.assert(fc.property(frame, expectSame), { numRuns: 3000 })
  })
})
