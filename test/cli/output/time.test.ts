import { expect, it } from "vitest"
import { formatAge } from "../../../src/cli/output/time.js"

it.each([
  [0, "now"],
  [999, "now"],
  [-5_000, "now"],
  [1_000, "1 s ago"],
  [59_999, "59 s ago"],
  [60_000, "1 min ago"],
  [3_600_000, "1 h ago"],
  [50 * 3_600_000, "2 d ago"],
])("formatAge formats %i milliseconds as %s", (ageMs, text) => {
  const nowMs = 1_800_000_000_000
  expect(formatAge(nowMs - ageMs, nowMs)).toBe(text)
})

it("formats a missing time as a dash", () => {
  expect(formatAge(undefined, 1)).toBe("–")
})
