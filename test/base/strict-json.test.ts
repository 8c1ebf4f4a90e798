import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { JsonError, parseStrictJson } from "../../src/base/strict-json.js"

const maxDepth = 16

function errorOf(text: string): JsonError | undefined {
  try {
    parseStrictJson(text)
    return undefined
  } catch (error) {
    if (error instanceof JsonError) return error
    throw error
  }
}

const pathOfRefusal = (text: string) => errorOf(text)?.path

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe("parseStrictJson", () => {
  it("reads whatever JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 10 }), (value) => {
        const text = JSON.stringify(value)
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
      }),
      { numRuns: 2000 },
    )
  })

  it("refuses everything that JSON.parse refuses", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 30, unit: fc.constantFrom(...Array.from('{}[]":,\\u0a1 tn')) }),
        (text) => {
          if (!isJson(text)) expect(() => parseStrictJson(text)).toThrow(JsonError)
        },
      ),
      { numRuns: 5000 },
    )
  })

  it.each([
    ['{"a":1,"a":2}', "a"],
    ['{"a":{"b":1,"c":2,"b":3}}', "a.b"],
    ['[{"x":1},{"y":[{"k":1,"k":1}]}]', "[1].y[0].k"],
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"\\"":1,"b":{"\\"":1},"\\"":2}', '"'],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
  ])("refuses the duplicate key in %s and names %s", (text, path) => {
    expect(pathOfRefusal(text)).toBe(path)
  })

  it("ignores colons and quotes inside strings", () => {
    expect(parseStrictJson('{"a":"x\\":1,\\"a\\":{","b":":::"}')).toEqual({ a: 'x":1,"a":{', b: ":::" })
  })

  it("treats __proto__ as an ordinary key", () => {
    expect(Object.keys(parseStrictJson('{"__proto__":{"a":1}}') as object)).toEqual(["__proto__"])
  })

  it("refuses a lone surrogate and names the field", () => {
    expect(pathOfRefusal('{"a":["ok","\\ud800"]}')).toBe("a[1]")
    expect(pathOfRefusal('{"\\udfff":1}')).toBe("")
    expect(parseStrictJson('"\\ud83d\\ude00"')).toBe("😀")
  })

  it("refuses nesting over 16 levels and no less", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    expect(parseStrictJson(nested(maxDepth))).toBeDefined()
    expect(() => parseStrictJson(nested(maxDepth + 1))).toThrow("nested deeper than 16")
    expect(() => parseStrictJson("[".repeat(1_000_000))).toThrow(JsonError)
  })

  it("locates a syntax error exactly where JSON.parse refuses", () => {
    const pieces = fc.constantFrom(
      ...Array.from("{}[]\",:\\ \t01.eE+-truefalsn'\0\ud83d\ude00"),
      '"a"',
      "null",
      "\\u00e9",
      "\\n",
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        const text = parts.join("")
        expect(errorOf(text)?.fault === undefined).toBe(isJson(text))
      }),
      { numRuns: 5_000 },
    )
  })

  it.each([
    ['{"a":1,"a":2', 'column 13: unexpected end, expected "," or "}"', "structure"],
    ["{a:1}", 'column 2: unexpected "a", expected a name in "double quotes"', "quotes"],
    ['{"😀":1,}', 'column 8: unexpected comma before "}"', "trailing-comma"],
    ['["a\nb"]', "column 4: unexpected control character U+000a inside a string", "control"],
  ])("names the column and the kind of the syntax error in %j", (text, message, kind) => {
    expect(errorOf(text)).toMatchObject({ path: "", message, fault: { kind } })
  })

  it("does not locate anything in a text nested too deeply", () => {
    expect(errorOf("[".repeat(200_000))).toMatchObject({ fault: undefined })
  })
})
