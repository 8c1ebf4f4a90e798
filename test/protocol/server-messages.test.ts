import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseServerMessage } from "../../src/protocol/parse-message.js"
import { type ServerType, serverMessages } from "../../src/protocol/server-messages.js"
import frames from "../vectors/server-frames.json" with { type: "json" }

const samples = frames.frames as readonly ({ type: ServerType } & Record<string, unknown>)[]
const wrongValues = [null, true, 1, -1, 1.5, "text", "#", [], {}, [null], [{}], { a: 1 }]

describe("parseServerMessage", () => {
  it("has a sample of every message", () => {
    expect(new Set(samples.map(({ type }) => type))).toEqual(new Set(Object.keys(serverMessages)))
  })

  it.each(samples)("parses $type with all its fields", (sample) => {
    expect(parseServerMessage(JSON.stringify(sample))).toEqual(sample)
  })

  it("drops unknown fields", () => {
    for (const sample of samples) {
      const text = JSON.stringify({ ...sample, self: true, __proto__: { x: 1 }, extra: { deep: [1] } })
      expect(parseServerMessage(text)).toEqual(sample)
    }
  })

  it("refuses a field of the wrong type, whichever it is", () => {
    for (const sample of samples) {
      for (const [name, value] of Object.entries(sample)) {
        const others = wrongValues.filter(
          (wrong) => Array.isArray(wrong) !== Array.isArray(value) || wrong === null,
        )
        for (const wrong of others.filter((other) => typeof other !== typeof value || other === null)) {
          const message = parseServerMessage(JSON.stringify({ ...sample, [name]: wrong }))
          expect(message, `${sample.type}.${name} = ${JSON.stringify(wrong)}`).toBeUndefined()
        }
      }
    }
  })

  it("refuses a message without a required field", () => {
    const required: Partial<Record<ServerType, string[]>> = {
      WELCOME: ["agent_id", "server_id", "protocol", "limits", "ts"],
      CHALLENGE: ["challenge_id", "nonce", "aud"],
      MSG: ["from", "to", "content", "ts", "msg_id"],
      JOINED: ["channel", "agents", "roster", "seq"],
      ERROR: ["code", "message"],
    }
    for (const sample of samples) {
      for (const name of required[sample.type] ?? []) {
        const { [name]: _left, ...rest } = sample
        expect(parseServerMessage(JSON.stringify(rest)), `${sample.type} without ${name}`).toBeUndefined()
      }
    }
  })

  it.each([
    ["a name that is no agent", { from: "bob" }],
    ["a channel with a path in it", { to: "#../../etc" }],
    ["an empty sender", { from: "@" }],
    ["a sequence number that is no whole number", { seq: 1.5 }],
    ["a time that is no number JSON has", { ts: "1e999" }],
  ])("refuses a message with %s", (_what, fields) => {
    const sample = samples.find(({ type }) => type === "MSG")
    expect(parseServerMessage(JSON.stringify({ ...sample, ...fields }))).toBeUndefined()
  })

  it("refuses a wait of more than ten years", () => {
    const error = { type: "ERROR", code: "RATE_LIMITED", message: "slow down" }
    expect(parseServerMessage(JSON.stringify({ ...error, retry_after_ms: 315_360_000_000 }))).toBeDefined()
    expect(parseServerMessage(JSON.stringify({ ...error, retry_after_ms: 315_360_000_001 }))).toBeUndefined()
    expect(parseServerMessage(JSON.stringify({ ...error, retry_after_ms: -1 }))).toBeUndefined()
  })

  it.each([
    "",
    "null",
    "[]",
    "7",
    '"MSG"',
    "{",
    '{"type":"MSG"}',
    '{"type":"toString"}',
    '{"type":"__proto__"}',
    '{"type":5}',
    "{}",
    '{"type":"PONG","ts":1,"ts":2}',
    '{"type":"PONG","ts":1e999}',
    `{"type":"LEFT","channel":"#a","x":${"[".repeat(5_000)}${"]".repeat(5_000)}}`,
  ])("refuses %.60j", (text) => {
    expect(parseServerMessage(text)).toBeUndefined()
  })

  it("never throws, whatever the relay sends", () => {
    const types = fc.constantFrom(...Object.keys(serverMessages))
    const hostile = fc
      .tuple(types, fc.dictionary(fc.string(), fc.jsonValue()))
      .map(([type, fields]) => JSON.stringify({ ...fields, type }))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), hostile), (text) => {
        expect(() => parseServerMessage(text)).not.toThrow()
      }),
    )
  })
})
