import { expect, it } from "vitest"
import { StreamNumbers } from "../../../src/backbone/nats/stream.js"

const created = "2026-03-01T12:00:00.000000001Z"

it("numbers of a stream are above all numbers of an older one", () => {
  const [older, newer] = [new StreamNumbers(), new StreamNumbers()]
  older.start(created)
  newer.start("2026-03-01T12:00:01Z")
  expect(newer.toLog(1)).toBeGreaterThan(older.toLog(900_000))
  expect(newer.toStream(older.toLog(900_000))).toBe(0)
  expect(newer.toStream(newer.toLog(7))).toBe(7)
})
