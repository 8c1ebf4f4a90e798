import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { canonicalize } from "../../src/identity/canonical-json.js"
import rfc8785 from "../vectors/canonical-json.json" with { type: "json" }

describe("canonicalize", () => {
  it.each(rfc8785.texts)("agrees with RFC 8785: $why", ({ json, canonical }) => {
    expect(canonicalize(JSON.parse(json))).toBe(canonical)
  })

  it.each(rfc8785.numbers)("writes the number of bits $bits as $text", ({ bits, text }) => {
    const number = Buffer.from(bits, "hex").readDoubleBE()
    expect(canonicalize(number)).toBe(text)
  })

  it("the text does not depend on the order in which members were added", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()), (members) => {
        const reversed = Object.fromEntries(Object.entries(members).reverse())
        expect(canonicalize(reversed)).toBe(canonicalize(members))
      }),
    )
  })

  it("writing a value again after JSON.parse gives the same text", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
        const text = canonicalize(value)
        expect(canonicalize(JSON.parse(text))).toBe(text)
      }),
    )
  })

  it("gives different statements different texts", () => {
    const statements = [
      { a: "1" },
      { a: 1 },
      { a: [1] },
      { a: { 0: 1 } },
      { a: "1", b: null },
      { a: "\u0001" },
    ]
    expect(new Set(statements.map(canonicalize)).size).toBe(statements.length)
  })

  it.each([
    ["undefined", { a: { b: undefined } }, "a.b: undefined has no JSON form"],
    ["NaN", { a: [1, Number.NaN] }, "a[1]: NaN is not a JSON number"],
    ["an infinite number", Number.POSITIVE_INFINITY, "statement: Infinity is not a JSON number"],
    ["a big integer", { a: 1n }, "a: bigint has no JSON form"],
    ["a function", { a: () => 1 }, "a: function has no JSON form"],
    ["a hole in an array", { a: new Array(1) }, "a[0]: undefined has no JSON form"],
    ["a lone surrogate", { a: "\ud800" }, "a: lone surrogate"],
    ["a lone surrogate in a key", { a: { "\udc00": 1 } }, "a: lone surrogate"],
    ["a date", { a: new Date(0) }, "a: not a plain object"],
    ["bytes", { a: new Uint8Array(1) }, "a: not a plain object"],
  ])("refuses %s and names its path", (_what, value, message) => {
    expect(() => canonicalize(value)).toThrow(expect.objectContaining({ code: "INVALID_MSG", message }))
  })

  it("refuses a cycle", () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(() => canonicalize(cycle)).toThrow("nested deeper than 64")
  })
})
