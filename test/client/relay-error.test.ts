import { describe, expect, it } from "vitest"
import { errorOfClose, errorOfMessage, errorOfNetwork } from "../../src/client/relay-error.js"

const error = (fields: object = {}) => ({
  type: "ERROR" as const,
  code: "RATE_LIMITED",
  message: "slow down",
  ...fields,
})

describe("errorOfMessage", () => {
  it("keeps the code and the details", () => {
    const details = { retry_after_ms: 250, candidates: ["@bob"], hint: "wait" }
    expect(errorOfMessage(error(details))).toMatchObject({
      code: "RATE_LIMITED",
      message: "slow down",
      retryAfterMs: 250,
      candidates: ["@bob"],
      hint: "wait",
    })
  })

  it("keeps guard facts, shortened and escaped", () => {
    const guard = { layer: "pair", scope: "@a @b", lifted_by: "time", evidence: ["a.1"] } as const
    expect(errorOfMessage(error({ code: "GUARDED", guard }))).toMatchObject({
      code: "GUARDED",
      exit: 7,
      guard,
    })
    const flood = "\u001b[2J".repeat(100_000)
    const evidence = Array.from({ length: 1000 }, () => flood)
    const hostile = { layer: flood, scope: flood, lifted_by: "time", evidence } as const
    const kept = errorOfMessage(error({ code: "GUARDED", guard: hostile })).guard
    expect(kept?.evidence).toHaveLength(10)
    expect(JSON.stringify(kept).length).toBeLessThan(10_000)
    expect(JSON.stringify(kept)).not.toContain("\\u001b")
    const forged = errorOfMessage(error({ code: "GUARDED", guard: { ...guard, layer: "breaker" } }))
    expect(forged.guard?.layer).toBe("?")
  })

  it("turns a code of a later version into UNSUPPORTED and names it", () => {
    expect(errorOfMessage(error({ code: "TOO_LATE" }))).toMatchObject({
      code: "UNSUPPORTED",
      message: "TOO_LATE: slow down",
    })
    expect(errorOfMessage(error({ code: "toString" })).code).toBe("UNSUPPORTED")
  })

  it("shortens a relay's text and escapes its control characters", () => {
    const flood = "\u001b[2J".repeat(100_000)
    const { message, hint, candidates } = errorOfMessage(
      error({ message: flood, hint: flood, candidates: Array.from({ length: 1000 }, () => flood) }),
    )
    for (const text of [message, hint, ...(candidates ?? [])]) {
      expect(text?.length).toBeLessThan(1_500)
      expect(text).not.toContain("\u001b")
    }
    expect(candidates).toHaveLength(20)
  })
})

describe("errorOfClose", () => {
  it.each([
    [4001, "SESSION_DISPLACED"],
    [4002, "SLOW_READER"],
    [4003, "HANDSHAKE_TIMEOUT"],
    [1001, "SHUTTING_DOWN"],
    [1000, "UNREACHABLE"],
    [1006, "UNREACHABLE"],
    [1009, "UNREACHABLE"],
    [4999, "UNREACHABLE"],
  ])("converts close code %i to %s", (code, expected) => {
    expect(errorOfClose("ws://relay", code, "").code).toBe(expected)
    expect(errorOfClose("ws://relay", code, "because").message).toBe("ws://relay: because")
  })
})

describe("errorOfNetwork", () => {
  it("names the system's error code once", () => {
    const refused = Object.assign(new AggregateError([], ""), { code: "ECONNREFUSED" })
    expect(errorOfNetwork("ws://relay", refused).message).toBe(
      "ws://relay: nothing listens there (ECONNREFUSED)",
    )
    const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND relay"), { code: "ENOTFOUND" })
    expect(errorOfNetwork("ws://relay", unknown).message).toBe("ws://relay: getaddrinfo ENOTFOUND relay")
    expect(errorOfNetwork("ws://relay", new Error("")).message).toBe("ws://relay: connection failed")
  })
})
