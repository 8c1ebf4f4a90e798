import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatForTerminal, formatJsonLine } from "../../src/base/visible-text.js"

const hostile = "a\nb\r\0\u001b[2J\u009b31m\u202eevil\u2066x\u2069\u200b\ufeff\u2028\u{e0041}\u00ad"
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}]/u

describe("formatJsonLine", () => {
  it("escapes noncharacters, which YAML does not allow", () => {
    expect(formatJsonLine("a\ufffe\uffffb")).toBe(`"a\\ufffe\\uffffb"`)
  })

  it("returns one line without invisible characters and keeps the value", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const line = formatJsonLine({ text: text + hostile })
        expect(line).not.toMatch(invisible)
        expect(JSON.parse(line)).toEqual({ text: text + hostile })
      }),
      { numRuns: 2000 },
    )
  })

  it("leaves ordinary text of any script readable", () => {
    expect(formatJsonLine({ a: "Grüße 日本語 😀" })).toBe('{"a":"Grüße 日本語 😀"}')
  })
})

describe("formatForTerminal", () => {
  it("shows control, bidi and zero-width characters as escapes", () => {
    expect(formatForTerminal(hostile)).toBe(
      "a\\u{a}b\\u{d}\\u{0}\\u{1b}[2J\\u{9b}31m\\u{202e}evil\\u{2066}x\\u{2069}\\u{200b}\\u{feff}\\u{2028}\\u{e0041}\\u{ad}",
    )
  })

  it("leaves no invisible character in any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(formatForTerminal(text)).not.toMatch(invisible)
      }),
      { numRuns: 5000 },
    )
  })
})
