import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  nextSessionState,
  type SessionEvent,
  type SessionState,
  sessionSteps,
} from "../../../src/server/sessions/session.js"

const states = Object.keys(sessionSteps) as SessionState[]
const events: readonly SessionEvent[] = ["challenge", "admit", "close", "end"]

const legal = [
  ["connecting", "challenge", "challenged"],
  ["connecting", "admit", "ready"],
  ["connecting", "close", "closing"],
  ["connecting", "end", "gone"],
  ["challenged", "admit", "ready"],
  ["challenged", "close", "closing"],
  ["challenged", "end", "gone"],
  ["ready", "close", "closing"],
  ["ready", "end", "gone"],
  ["closing", "end", "gone"],
] as const

describe("sessionSteps", () => {
  it("allows these transitions and no others", () => {
    for (const state of states) {
      for (const event of events) {
        const step = legal.find(([from, on]) => from === state && on === event)
        expect(nextSessionState(state, event)).toBe(step?.[2])
      }
    }
  })

  it("challenges, admits and closes a session at most once", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 40 }), (tries) => {
        let state: SessionState = "connecting"
        const taken: SessionEvent[] = []
        for (const event of tries) {
          const next = nextSessionState(state, event)
          if (next === undefined) continue
          taken.push(event)
          state = next
        }
        expect(new Set(taken).size).toBe(taken.length)
        expect(taken.indexOf("end")).toBe(taken.includes("end") ? taken.length - 1 : -1)
      }),
    )
  })
})
