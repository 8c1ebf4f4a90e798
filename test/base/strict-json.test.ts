import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { JsonError, maxJsonDepth, parseStrictJson } from "../../src/base/strict-json.js"

function pathOfRefusal(text: string): string {
  try {
    parseStrictJson(text)
  } catch (error) {
    if (error instanceof JsonError) return error.path
    throw error
  }
  throw new Error(`not refused: ${text}`)
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

  it("agrees with JSON.parse on what is no JSON at all", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 30, unit: fc.constantFrom(...Array.from('{}[]":,\\u0a1 tn')) }),
        (text) => {
          let isJson = true
          try {
            JSON.parse(text)
          } catch {
            isJson = false
          }
          if (!isJson) expect(() => parseStrictJson(text)).toThrow(JsonError)
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

  it("does not take a colon or a quote inside a string for structure", () => {
    expect(parseStrictJson('{"a":"x\\":1,\\"a\\":{","b":":::"}')).toEqual({ a: 'x":1,"a":{', b: ":::" })
  })

  it("keeps __proto__ an ordinary key", () => {
    expect(Object.keys(parseStrictJson('{"__proto__":{"a":1}}') as object)).toEqual(["__proto__"])
  })

  it("refuses a lone surrogate and names the field", () => {
    expect(pathOfRefusal('{"a":["ok","\\ud800"]}')).toBe("a[1]")
    expect(pathOfRefusal('{"\\udfff":1}')).toBe("")
    expect(parseStrictJson('"\\ud83d\\ude00"')).toBe("😀")
  })

  it("refuses nesting over its bound and no less", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    expect(parseStrictJson(nested(maxJsonDepth))).toBeDefined()
    expect(() => parseStrictJson(nested(maxJsonDepth + 1))).toThrow("nested deeper than 16")
    expect(() => parseStrictJson("[".repeat(1_000_000))).toThrow(JsonError)
  })
})
