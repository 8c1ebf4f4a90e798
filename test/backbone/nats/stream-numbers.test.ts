import { expect, it } from "vitest"
import { StreamNumbers } from "../../../src/backbone/nats/stream-numbers.js"

const created = "2026-03-01T12:00:00.000000001Z"
const createdMs = Date.parse(created)

it("numbers of a stream are above all numbers of an older one", () => {
  const [older, newer] = [new StreamNumbers(), new StreamNumbers()]
  older.start(created)
  newer.start("2026-03-01T12:00:01Z")
  expect(newer.toLog(1)).toBeGreaterThan(older.toLog(900_000))
  expect(newer.toStream(older.toLog(900_000))).toBe(0)
  expect(newer.toStream(newer.toLog(7))).toBe(7)
})

it.each([
  ["is new", 1_000, false, undefined],
  ["had entries, and is empty", 1_000, true, 1_000_000],
  ["is old, and is empty", 61_000, false, 61_000_000],
] as const)(
  "the log of a stream that %s continues at the current time or not at all",
  (_name, ageMs, hadEntries, seq) => {
    const numbers = new StreamNumbers()
    numbers.start(created)
    expect(numbers.afterLoss(createdMs + ageMs, hadEntries)).toBe(seq)
  },
)
