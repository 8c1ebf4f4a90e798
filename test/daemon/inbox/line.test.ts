import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  formatBody,
  formatNumbered,
  looksWhole,
  readLineId,
  readSeq,
} from "../../../src/daemon/inbox/line.js"

const pageBytes = 4096
const bodies = fc.array(
  fc.string({ maxLength: 150, unit: "grapheme" }).map((content) => formatBody({ type: "MSG", content })),
  { minLength: 1, maxLength: 40 },
)

describe("formatNumbered", () => {
  it("numbers lines and keeps their values", () => {
    const text = formatNumbered(7, [formatBody({ type: "A", x: 1 }), formatBody({ type: "B" })], 0)
    expect(text).toBe('{"seq":7,"type":"A","x":1}\n{"seq":8,"type":"B"}\n')
  })

  it("lets no line of up to 1 KiB cross a page", () => {
    fc.assert(
      fc.property(bodies, fc.nat(20_000), (some, offset) => {
        const text = Buffer.from(formatNumbered(1, some, offset))
        // The first line begins where the file happens to end.
        for (let start = text.indexOf("\n") + 1; start < text.length; ) {
          const end = text.indexOf("\n", start)
          const size = text.toString("latin1", start, end).trimEnd().length + 1
          const pages = [start, end].map((at) => Math.floor((offset + at) / pageBytes))
          if (size <= 1024) expect(pages[0]).toBe(pages[1])
          start = end + 1
        }
      }),
    )
  })

  it("leaves room on the page for a next line of twice the size", () => {
    fc.assert(
      fc.property(bodies, fc.nat(20_000), fc.nat(100), (some, offset, percent) => {
        const before = Buffer.byteLength(formatNumbered(1, some, offset))
        const last = Buffer.byteLength(`{"seq":1,${some.at(-1) ?? ""}\n`)
        const next = Math.floor((last * 2 * percent) / 100)
        fc.pre(next > 0 && last * 2 <= 1024)
        expect(((offset + before) % pageBytes) + next).toBeLessThanOrEqual(pageBytes)
      }),
    )
  })

  it("adds at most 1 KiB of spaces, also next to long lines", () => {
    const long = formatBody({ type: "MSG", content: "x".repeat(3_000) })
    for (let offset = 0; offset < pageBytes; offset += 50) {
      const spaces = formatNumbered(1, [formatBody({ type: "A" }), long, long], offset).replaceAll(
        /[^ ]/g,
        "",
      )
      expect(spaces.length).toBeLessThan(1024)
    }
  })

  it("escapes every control character, so that one line stays one line", () => {
    const content = "a\n\u001b[2J\u2028\u0000\u202e{"
    const line = formatNumbered(1, [formatBody({ type: "MSG", content })], 0)
    expect(line).toMatch(/^[\x20-\x7e]+\n$/)
    expect(JSON.parse(line)).toEqual({ seq: 1, type: "MSG", content })
  })
})

describe("formatBody", () => {
  it("refuses a line that has a seq already", () => {
    expect(() => formatBody({ type: "MSG", seq: 3 })).toThrow("MSG has a seq already")
  })
})

describe("readSeq", () => {
  it("reads the seq of a line, also from its first bytes", () => {
    expect(readSeq(Buffer.from('{"seq":12,"type":"MSG"}'))).toBe(12)
    expect(readSeq(Buffer.from('{"seq":9007199254740991,"ty'))).toBe(Number.MAX_SAFE_INTEGER)
  })

  it.each(['{"seq":12', '{"seq":"12",', ' {"seq":1,', '{"seq":9007199254740992,', '{"seq":-1,', "", "seq"])(
    "returns undefined for %s",
    (text) => {
      expect(readSeq(Buffer.from(text))).toBeUndefined()
    },
  )
})

describe("readLineId", () => {
  it("reads the id, not text in the content that looks like one", () => {
    const body = formatBody({ type: "MSG", content: '"msg_id":"evil"', msg_id: "a.1" })
    expect(readLineId(Buffer.from(formatNumbered(1, [body], 0)))).toBe("a.1")
  })

  it("returns undefined for a line without an id", () => {
    expect(readLineId(Buffer.from('{"seq":1,"type":"NOTICE"}'))).toBeUndefined()
    expect(readLineId(Buffer.from('{"seq":1,"type":"MSG","msg_id":"cut'))).toBeUndefined()
  })
})

describe("looksWhole", () => {
  it("is false for a line that was cut off or damaged", () => {
    expect(looksWhole(Buffer.from('{"seq":1,"type":"A"}   '))).toBe(true)
    expect(looksWhole(Buffer.from('{"seq":1,"type":"A'))).toBe(false)
    expect(looksWhole(Buffer.from('{"type":"A"}'))).toBe(false)
    expect(looksWhole(Buffer.from(""))).toBe(false)
    expect(looksWhole(Buffer.from("   "))).toBe(false)
  })
})
