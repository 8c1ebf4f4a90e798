import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChatError } from "../../src/protocol/errors.js"
import {
  addressPattern,
  parseAddress,
  parseChannel,
  parseInstanceName,
  parseNick,
} from "../../src/protocol/names.js"

describe("channel names", () => {
  it.each(["#general", "#team.backend", "#a", "#A_b-9", `#${"x".repeat(64)}`])(
    "%s is a channel name",
    (text) => {
      expect(parseChannel(text)).toBe(text)
    },
  )
  it.each([
    "general",
    "#",
    "#.a",
    "#a.",
    "#a..b",
    "#a b",
    "#a/b",
    "#*",
    "#team.>",
    `#${"x".repeat(65)}`,
    "#ü",
    "#a\n",
  ])("%j is not a channel name", (text) => {
    expect(() => parseChannel(text)).toThrow(ChatError)
  })
  it("refuses a channel name without # with a hint", () => {
    expect(() => parseChannel("general")).toThrow(
      expect.objectContaining({ hint: 'write it with its #: "#general"' }),
    )
  })
})

describe("instance names", () => {
  it.each(["../x", "a/b", "", ".", "..", ".hidden", "a".repeat(65), "a b", "a\0", "-x", "0123456789abcdef"])(
    "%j never becomes a path",
    (text) => {
      expect(() => parseInstanceName(text)).toThrow(expect.objectContaining({ code: "INVALID_NAME" }))
    },
  )
  it("never contain a path separator", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from("./\\a0-_~ \0\n")) }), (text) => {
        let name: string
        try {
          name = parseInstanceName(text)
        } catch {
          return
        }
        expect(name).not.toMatch(/[/\\\0\n]|^\.|^$/)
      }),
      { numRuns: 5000 },
    )
  })
})

describe("nicks", () => {
  it("cannot look like the agent id of a key", () => {
    expect(() => parseNick("0123456789abcdef")).toThrow("16 hex")
    expect(parseNick("0123456789abcdeg")).toBe("0123456789abcdeg")
  })
})

describe("addresses", () => {
  it("are channels, agents or roles", () => {
    expect(parseAddress("#general")).toBe("#general")
    expect(parseAddress("@bob")).toBe("@bob")
    expect(parseAddress("@0123456789abcdef")).toBe("@0123456789abcdef")
  })
  it("without # or @ are refused with both forms as a hint", () => {
    expect(() => parseAddress("bob")).toThrow("to: bob is neither a #channel nor an @agent")
  })
  it("match the pattern if and only if they parse", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from("#@ab.-_/ 0")), maxLength: 12 }),
        (text) => {
          let parses = true
          try {
            parseAddress(text)
          } catch {
            parses = false
          }
          expect(addressPattern.test(text)).toBe(parses)
        },
      ),
      { numRuns: 5000 },
    )
  })
})
