import { expect, it } from "vitest"
import { makeRedaction } from "../../../src/cli/log/redaction.js"

function redacted(content: string, ...patterns: readonly string[]): unknown {
  return makeRedaction(patterns)({ type: "MSG", content })["content"]
}

it("replaces each text that a pattern matches, whatever its case", () => {
  expect(redacted("key SK-abc and sk-def.", "sk-*")).toBe("key [redacted] and [redacted]")
  expect(redacted("user=ann password=x1y2 end", "password=*")).toBe("user=ann [redacted] end")
  expect(redacted("mail a.b@corp.example now", "*@corp.example")).toBe("mail [redacted] now")
  expect(redacted("a token abc-def-ghi b", "abc*ghi")).toBe("a token [redacted] b")
  expect(redacted("abc def-ghi", "abc*ghi")).toBe("abc def-ghi")
  expect(redacted("hunter2hunter2", "hunter2")).toBe("[redacted][redacted]")
})

it("reaches texts in parts, keeps ids, and drops the signature of what it changed", () => {
  const message = {
    type: "MSG",
    from: "@secret",
    msg_id: "secret.1",
    sig: "s",
    parts: [{ kind: "text", text: "a secret" }],
  }
  expect(makeRedaction(["secret"])(message)).toEqual({
    ...{ type: "MSG", from: "@secret", msg_id: "secret.1", redacted: true },
    parts: [{ kind: "text", text: "a [redacted]" }],
  })
  const other = { type: "MSG", content: "nothing", sig: "s" }
  expect(makeRedaction(["secret"])(other)).toBe(other)
})

it("refuses a pattern that matches nearly everything", () => {
  for (const pattern of ["*", "**", "a", " *a"])
    expect(() => makeRedaction([pattern])).toThrow(/two characters/)
})

it("looks at each character a bounded number of times, whatever the pattern", () => {
  const text = "ab".repeat(100_000)
  expect(redacted(text, "a*a*a*a*a*a*zz", "ab*zz")).toBe(text)
})
