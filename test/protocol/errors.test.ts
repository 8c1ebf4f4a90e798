import { describe, expect, it } from "vitest"
import { ChatError, type ErrorCode, errorSpecs, isErrorCode } from "../../src/protocol/errors.js"

describe("errorSpecs", () => {
  it("uses only documented exit statuses", () => {
    for (const { exit } of Object.values(errorSpecs))
      expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).toContain(exit)
  })
  it("gives an error its exit status and keeps its details", () => {
    const error = new ChatError("RATE_LIMITED", "too fast", {
      retryAfterMs: 5,
      candidates: ["@a"],
      hint: "wait",
    })
    expect(error).toMatchObject({
      code: "RATE_LIMITED",
      exit: 6,
      retryAfterMs: 5,
      candidates: ["@a"],
      hint: "wait",
    })
  })
  it("has its own codes and nothing inherited", () => {
    expect(isErrorCode("RATE_LIMITED" satisfies ErrorCode)).toBe(true)
    expect(isErrorCode("toString")).toBe(false)
  })
})
