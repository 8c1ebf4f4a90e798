import { describe, expect, it } from "vitest"
import { maxDurationMs } from "../../../src/base/duration.js"
import {
  channel,
  choice,
  duration,
  port,
  rate,
  seconds,
  someText,
  wholeNumber,
} from "../../../src/cli/input/values.js"
import { ChatError } from "../../../src/protocol/errors.js"

function refusal(read: () => unknown): ChatError {
  try {
    read()
  } catch (error) {
    if (error instanceof ChatError) return error
    throw error
  }
  throw new Error("the value was accepted")
}

describe("wholeNumber", () => {
  it("accepts decimal digits only", () => {
    expect(wholeNumber(1)("42", "--last")).toBe(42)
    for (const text of [
      "",
      "x",
      "1e3",
      "0x10",
      "-1",
      "+1",
      "1.0",
      " 1",
      "1 ",
      "99999999999999999",
      "NaN",
      "Infinity",
    ]) {
      expect(refusal(() => wholeNumber(0)(text, "--last"))).toMatchObject({ code: "USAGE" })
    }
  })

  it("rejects a number outside its range, naming the option and the range", () => {
    expect(refusal(() => wholeNumber(1)("0", "--last")).message).toBe(
      '--last: "0" is not a whole number, 1 or more',
    )
    expect(refusal(() => port("65536", "--port")).message).toContain("from 0 to 65535")
  })
})

describe("seconds", () => {
  it("converts seconds to milliseconds", () => {
    expect(seconds("2", "--timeout")).toBe(2_000)
    expect(seconds("0.25", "--timeout")).toBe(250)
  })

  it("rejects a time of over ten years, naming the option", () => {
    expect(seconds("315360000", "--lease")).toBe(maxDurationMs)
    expect(refusal(() => seconds("315360000.001", "--lease")).message).toBe(
      '--lease: "315360000.001" is not a number of seconds above 0, up to 315360000',
    )
  })

  it("rejects a time that is not above zero", () => {
    for (const text of ["0", "0.000", "-1", "x", "1s", ".5"]) {
      expect(refusal(() => seconds(text, "--timeout")).message).toContain("--timeout")
    }
  })
})

describe("rate", () => {
  it("accepts messages per second, minute or hour", () => {
    expect(rate("1/s", "--rate")).toBe(1)
    expect(rate("100000/s", "--rate")).toBe(100_000)
    expect(rate("30/min", "--rate")).toBe(0.5)
    expect(rate("0.042/h", "--rate")).toBeCloseTo(0.042 / 3_600)
  })

  it("rejects a rate without a known unit, and one of less than a message a day", () => {
    for (const text of ["1", "1/", "1/d", "0/s", "/s", "1/constructor", "-1/s", "1/s ", "0.041/h"]) {
      expect(refusal(() => rate(text, "--rate")).code).toBe("USAGE")
    }
  })
})

describe("the error of a value", () => {
  it("an error names the option or argument", () => {
    expect(refusal(() => someText("", "--identity")).message).toBe("--identity: must not be empty")
    expect(refusal(() => choice(["a", "b"])("c", "--format")).message).toBe(
      '--format: "c" is not one of a, b',
    )
    expect(refusal(() => channel("general", "CHANNEL"))).toMatchObject({
      code: "INVALID_NAME",
      hint: expect.stringContaining('"#general"'),
    })
  })

  it("an error quotes only the start of a long text", () => {
    expect(refusal(() => port("9".repeat(1_000), "--port")).message.length).toBeLessThan(120)
  })
})

describe("duration", () => {
  it.each([
    ["90s", 90_000],
    ["60000m", 3_600_000_000],
    ["25d", 2_160_000_000],
    ["3650d", maxDurationMs],
  ])("reads %s", (text, ms) => {
    expect(duration(text, "--retain-age")).toBe(ms)
  })

  it.each(["3651d", "999999d", "999999999s", "0s", "1.5h", "1w", "-1d", "1e3s", ""])(
    "rejects %j, naming the option and the limit",
    (text) => {
      expect(refusal(() => duration(text, "--retain-age")).message).toBe(
        `--retain-age: ${JSON.stringify(text)} is not a time like 90s, 10m, 24h or 7d, up to 3650d`,
      )
    },
  )
})
