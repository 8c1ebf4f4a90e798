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

  it.each([
    ['{"a":12345678901234567890}', "a"],
    ['{"a":[1,9007199254740993]}', "a[1]"],
    ['{"a":{"b":-9007199254740993}}', "a.b"],
    ['{"a":1e400}', "a"],
    ['{"a":-1E+400}', "a"],
    ['{"a":1e-400}', "a"],
    ['{"a":3.141592653589793238462643383279}', "a"],
    ['{"a":0.10000000000000001}', "a"],
    ["[1152921504606846976]", "[0]"],
    ["1e400", ""],
  ])("refuses the number that a double would change in %s", (text, path) => {
    expect(errorOf(text)).toMatchObject({
      path,
      message: expect.stringMatching(/double.*write it as a string/),
    })
  })

  it.each([
    "[0,-0,1.0,1.50,100e-2,1E2,5e-324,1.7976931348623157e308]",
    "[9007199254740991,-9007199254740991,9007199254740992,1e21,100000000000000000000,0.1,0.30000000000000004]",
    '{"text":"12345678901234567890 1e400","1e400":1,"12345678901234567890":1}',
  ])("reads the exact numbers and the texts in %s", (text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  it("refuses a number exactly if JSON.stringify writes another value for it", () => {
    const digits = (max: number) => fc.stringMatching(new RegExp(`^[0-9]{0,${max}}$`))
    const numbers = fc.tuple(fc.nat(), digits(24), digits(24), fc.option(fc.integer({ min: -330, max: 330 })))
    fc.assert(
      fc.property(numbers, ([first, more, fraction, exponent]) => {
        const text = `${first}${first === 0 ? "" : more}${fraction === "" ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`
        const back = JSON.stringify(JSON.parse(text))
        expect(errorOf(text) === undefined).toBe(back !== "null" && isSameDecimal(text, back))
      }),
      { numRuns: 3000 },
    )
  })

  it.each([
    ['{"b":1,"2":2}', "2"],
    ['{"2":1,"1":2}', "1"],
    ['{"a":[{"x":{"10":1,"9":2}}]}', "a[0].x.9"],
    ['{"b":1,"\\u0031":2}', "1"],
  ])("refuses the key of digits that JavaScript would move in %s and names %s", (text, path) => {
    expect(errorOf(text)).toMatchObject({ path, message: expect.stringContaining("key of digits") })
  })

  it.each([
    '{"1":1,"2":2,"10":3,"b":4}',
    '{"b":1,"01":2,"-1":3,"1.5":4,"4294967295":5}',
    '{"b":{"0":1},"a":{"0":1}}',
  ])("keeps the order of the keys in %s", (text) => {
    expect(JSON.stringify(parseStrictJson(text))).toBe(text)
  })
})

/** Compares two decimal numbers with big integers. */
function isSameDecimal(a: string, b: string): boolean {
  const scale = (text: string): bigint => {
    const [mantissa = "", exponent = "0"] = text.split("e")
    const [whole = "", fraction = ""] = mantissa.split(".")
    return BigInt(`${whole}${fraction}`) * 10n ** BigInt(Number(exponent) - fraction.length + 1_000)
  }
  return scale(a) === scale(b)
}
