import { describe, expect, it } from "vitest"
import { waitMs } from "../../src/protocol/guard-facts.js"
import { agentRef, count, recipient } from "../../src/protocol/message-fields.js"
import {
  anyObject,
  boolean,
  either,
  Fault,
  list,
  literal,
  looselyAs,
  number,
  object,
  oneOf,
  openObject,
  optional,
  record,
  type Schema,
  strictObject,
  string,
  text,
  whole,
} from "../../src/protocol/schema.js"

const id = "@aaaaaaaaaaaaaaaa"
const people = list(openObject({ id: agentRef, name: string }))
const settings = openObject({ description: optional(string), replay: optional(boolean) })

function faultOf(schema: Schema<unknown>, value: unknown): string | undefined {
  const read = schema.read(value)
  return read instanceof Fault ? `${read.path}: ${read.problem}` : undefined
}

describe("a schema", () => {
  it.each([
    ["string", string, ["", "x"], [undefined, null, 1, ["x"]]],
    ["agentRef", agentRef, [id], ["@", "", 7, "#a"]],
    ["recipient", recipient, [id, "+reviewer"], ["#general", "reviewer"]],
    ["count", count, [0, 3], [-1, 1.5, Number.MAX_SAFE_INTEGER + 1, "3"]],
    ["number", number(), [-1, 0.5], [Number.NaN, Number.POSITIVE_INFINITY, "1"]],
    ["waitMs", waitMs, [0, 86_400_001, 315_360_000_000], [-1, 315_360_000_001, "0"]],
    ["list", list(string), [[], ["a"]], ["a", [1], [["a"]]]],
    ["anyObject", anyObject(), [{}, { a: 1 }], [null, []]],
    ["oneOf", oneOf(["accepted", "done"]), ["accepted", "done"], ["mirrored", ""]],
    ["a list of openObject", people, [[], [{ id, name: "bob" }]], [[{ id }], [null], { id, name: "bob" }]],
    ["openObject", settings, [{}, { replay: false, later: 1 }], [{ replay: "no" }, null]],
    ["record", record(oneOf(["a"]), count), [{}, { a: 1 }], [{ b: 1 }, { a: -1 }, []]],
    ["either", either(literal(""), literal(1), "must be"), ["", 1], ["1", undefined]],
    ["looselyAs", looselyAs(whole(1, 2)), [1, 7], ["1", undefined]],
  ] as [string, Schema<unknown>, unknown[], unknown[]][])(
    "%s accepts exactly its values",
    (_name, schema, good, bad) => {
      for (const value of good) expect([value, faultOf(schema, value)]).toEqual([value, undefined])
      for (const value of bad) expect([value, faultOf(schema, value)]).toEqual([value, expect.any(String)])
    },
  )

  it("accepts an absent value only if it is optional, and null never", () => {
    expect(faultOf(string, undefined)).toBe(": is missing")
    expect(faultOf(optional(string), undefined)).toBeUndefined()
    expect(faultOf(optional(string), null)).toBe(": must be a string")
    expect(faultOf(optional(string), 1)).toBe(": must be a string")
  })

  it("names the path of the first fault", () => {
    const nested = object({ a: list(object({ b: whole(1) })) })
    expect(faultOf(nested, { a: [{ b: 1 }, { b: 0 }] })).toBe("a.1.b: must be at least 1")
    expect(faultOf(nested, { a: [{}] })).toBe("a.0.b: is missing")
    expect(faultOf(nested, [])).toBe(": must be an object")
  })

  it.each([
    [text(3, 1), "", "must not be empty"],
    [text(3), "abcd", "must be at most 3 characters"],
    [list(string, 1), ["a", "b"], "must have at most 1 members"],
    [whole(), -1, "must not be negative"],
    [whole(1, 5), 6, "must be at most 5"],
    [boolean, 1, "must be true or false"],
    [literal(1), 2, "must be 1"],
    [oneOf(["a", "b"]), "c", "must be one of a, b"],
  ] as [Schema<unknown>, unknown, string][])("says what it expected (%#)", (schema, value, problem) => {
    expect(faultOf(schema, value)).toBe(`: ${problem}`)
  })

  it("drops the members it does not name, unless it is open or strict", () => {
    const value = { a: "x", b: 1 }
    expect(object({ a: string }).read(value)).toEqual({ a: "x" })
    expect(openObject({ a: string }).read(value)).toEqual(value)
    expect(faultOf(strictObject({ a: string }), value)).toBe("b: unknown field")
    expect(faultOf(strictObject({ a: string }), JSON.parse('{"a":"x","constructor":1}'))).toBe(
      "constructor: unknown field",
    )
  })
})
