import { describe, expect, it } from "vitest"
import { type EventRow, formatTime } from "../../src/coordination/event.js"
import { isHolderDead, presenceOf } from "../../src/coordination/liveness.js"

const start = Date.UTC(2026, 0, 1)
let id = 0
const event = (kind: string, author: string, payload: object, ms = start): EventRow => ({
  ...{ id: ++id, channel_id: "AB45", kind, author, proven: false },
  payload: payload as EventRow["payload"],
  created_at: formatTime(ms),
})
const held = (holder: string, ms = start) => event("state", "x", { handoff: { holder }, concepts: [] }, ms)

describe("presence", () => {
  it("presumes a holder dead that is silent for more than 300 s", () => {
    const events = [event("status", "a", { phase: "build" }), held("a")]
    expect(presenceOf(events, start + 300_000)["a"]).toEqual({
      last_status_at: "2026-01-01T00:00:00.000+00:00",
      age_s: 300,
      phase: "build",
      presumed_dead: false,
    })
    expect(presenceOf(events, start + 300_001)["a"]?.presumed_dead).toBe(true)
    expect(isHolderDead(events, start + 300_001)).toBe(true)
  })

  it("does not presume an agent dead that holds no work", () => {
    const events = [event("status", "b", {}), held("a")]
    expect(presenceOf(events, start + 900_000)["b"]?.presumed_dead).toBe(false)
  })

  it("presumes the owner of a concept in progress dead", () => {
    const state = event("state", "x", { concepts: [{ id: "c", owner: "b", status: "in_progress" }] })
    expect(presenceOf([event("status", "b", {}), state], start + 900_000)["b"]?.presumed_dead).toBe(true)
  })

  it("counts from the handoff for a holder that never posted a status", () => {
    const events = [held("a", start + 60_000), held("a", start), held("b", start - 60_000)]
    expect(presenceOf(events, start + 300_000)["a"]).toMatchObject({
      last_status_at: null,
      presumed_dead: false,
    })
    expect(presenceOf(events, start + 300_001)["a"]).toMatchObject({ age_s: 300.001, presumed_dead: true })
  })

  it("takes the author of a status, not what its payload says", () => {
    const events = [event("status", "a", { agent: "b" }), held("b")]
    expect(Object.keys(presenceOf(events, start)).sort()).toEqual(["a", "b"])
  })

  it("is not changed by an agent called like a member of every object", () => {
    const events = [event("status", "constructor", {}), event("status", "toString", {}), held("a")]
    expect(Object.keys(presenceOf(events, start))).toEqual(["constructor", "toString", "a"])
    expect(isHolderDead([held("constructor")], start + 300_001)).toBe(true)
  })
})
