import { describe, expect, it } from "vitest"
import { Guard } from "../../../src/guards/guard.js"
import { defaultGuardLimits } from "../../../src/guards/limits.js"
import type { DealStep } from "../../../src/guards/rules/deals.js"

const { dealTurns, slowWindowMs, stopMs } = defaultGuardLimits
const minute = 60_000
const start = 1_800_000_000_000

/** A layer and the deals that are made under it, one step a minute. */
class Desk {
  guard = new Guard(defaultGuardLimits, ["deals"])
  ts = start
  warnings: string[] = []
  #deals = 0

  /** Proposes. @returns the deal; undefined: it was refused */
  propose(from = "@a", to = "@b"): DealStep | undefined {
    this.ts += minute
    const trip = this.guard.checkProposal({ from, to }, this.ts)
    if (trip !== undefined) {
      this.guard.refuse({ channel: "@a @b", ts: this.ts }, trip)
      return undefined
    }
    const deal = `prop_${++this.#deals}`
    const step = { id: `${from.slice(1)}.${deal}/PROPOSAL`, verb: "PROPOSAL", deal, from, to } as const
    this.#note(step)
    return step
  }

  answer(step: DealStep | undefined, verb: "REJECT" | "COMPLETE"): void {
    if (step === undefined) throw new Error("there is nothing to answer")
    const { deal, from, to } = step
    this.#note({ id: `${to.slice(1)}.${deal}/${verb}`, verb, deal, from: to, to: from })
  }

  /** As many as are taken. */
  proposeAll(from = "@a", to = "@b"): number {
    for (let n = 0; ; n++) if (this.propose(from, to) === undefined) return n
  }

  #note(step: DealStep): void {
    for (const { scope, reason } of this.guard.noteStep(step, this.ts))
      this.warnings.push(`${scope}: ${reason}`)
  }
}

describe("deals", () => {
  it("refuses the proposal after the 40th of a day that came to nothing, and names them as evidence", () => {
    const desk = new Desk()
    expect(desk.proposeAll()).toBe(dealTurns)
    expect(desk.guard.checkProposal({ from: "@a", to: "@b" }, desk.ts)).toEqual({
      layer: "deals",
      scope: "@a to @b",
      reason: expect.stringMatching(/^40 turns in a day of proposals between you two/),
      retryAfterMs: stopMs,
      liftedBy: "progress",
      evidence: Array.from({ length: 10 }, (_, n) => `a.prop_${n + 31}/PROPOSAL`),
    })
    expect(desk.warnings).toEqual(["@a to @b: 20 of 40 are used"])
  })

  it("counts one that is rejected twice, however often that is reported", () => {
    const desk = new Desk()
    for (let n = 0; n < dealTurns / 2; n++) {
      const step = desk.propose()
      for (let told = 0; told < 3; told++) desk.answer(step, "REJECT")
    }
    expect(desk.propose()).toBeUndefined()
  })

  it("counts those of both, and stops neither who proposed less nor anybody towards others", () => {
    const desk = new Desk()
    for (let n = 0; n < 10; n++) desk.propose("@b", "@a")
    expect(desk.proposeAll()).toBe(dealTurns - 10)
    expect(desk.propose("@b", "@a")).toBeDefined()
    expect(desk.propose("@a", "@c")).toBeDefined()
    expect(desk.proposeAll("@b", "@a")).toBe(dealTurns - 10 - 10 - 1)
  })

  it("counts no proposal whose deal is completed, whoever says it is, but once", () => {
    const desk = new Desk()
    for (let n = 0; n < 5 * dealTurns; n++) {
      const step = desk.propose()
      desk.answer(step, "COMPLETE")
      desk.answer(step, "COMPLETE")
    }
    const [first] = [desk.propose(), desk.propose()]
    for (let told = 0; told < 5; told++) desk.answer(first, "COMPLETE")
    expect(desk.proposeAll()).toBe(dealTurns - 1)
  })

  it("lets one pass after a pause, and the next pause is twice as long", () => {
    const desk = new Desk()
    for (let n = 0; n < dealTurns / 2; n++) {
      desk.propose("@a", "@b")
      desk.propose("@b", "@a")
    }
    expect(desk.propose("@a", "@b")).toBeUndefined()
    desk.ts += stopMs
    expect(desk.propose("@a", "@b")).toBeDefined()
    expect(desk.propose("@b", "@a")).toBeDefined()
    const again = desk.guard.checkProposal({ from: "@a", to: "@b" }, desk.ts)
    expect(again?.retryAfterMs).toBe(2 * stopMs - minute)
  })

  it.each([
    ["work is done", (desk: Desk) => desk.guard.refill(["@b"], desk.ts)],
    ["an operator resets one of the two", (desk: Desk) => desk.guard.reset("@b")],
    ["an operator resets the pair", (desk: Desk) => desk.guard.reset("@a @b")],
    ["an operator resets the reported scope", (desk: Desk) => desk.guard.reset("@a to @b")],
    ["an operator resets everything", (desk: Desk) => desk.guard.reset(undefined)],
    ["a day is over", (desk: Desk) => (desk.ts += slowWindowMs)],
  ])("begins anew when %s", (_, act) => {
    const desk = new Desk()
    desk.proposeAll()
    act(desk)
    expect(desk.proposeAll()).toBe(dealTurns)
  })

  it("goes on where it was after a restart", () => {
    const desk = new Desk()
    const first = desk.propose()
    desk.answer(first, "REJECT")
    for (let n = 3; n < dealTurns; n++) desk.propose()
    desk.guard = Guard.load(defaultGuardLimits, JSON.parse(desk.guard.save()), ["deals"])
    desk.answer(first, "REJECT")
    expect(desk.guard.usage("@b", desk.ts)).toMatchObject([
      { layer: "deals", scope: "@a to @b", used: dealTurns - 1, limit: dealTurns, isTripped: false },
    ])
    expect(desk.proposeAll()).toBe(1)
    expect(desk.guard.usage("@a", desk.ts)).toMatchObject([{ used: dealTurns, isTripped: true }])
    expect(desk.guard.usage("@c", desk.ts)).toEqual([])
  })
})
