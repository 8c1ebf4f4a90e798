import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Guard } from "../../src/guards/guard.js"
import { type RuleName, ruleNames } from "../../src/guards/guard-message.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { type Draft, GuardRoom } from "./guard-room.js"

const agents = ["@a", "@b", "@c", "@d"]
const texts = [
  "thanks!",
  "Does anybody know?",
  "the same words again and again, by the same author",
  "still failing",
]

type Step =
  | Draft
  | { readonly work: string }
  | { readonly operator: string }
  | { readonly reset: string | undefined }

const draft = fc.record({
  from: fc.constantFrom(...agents),
  target: fc.option(fc.constantFrom(...agents), { nil: undefined }),
  isDirect: fc.boolean(),
  gapMs: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 900_000 })),
  kind: fc.constantFrom(undefined, undefined, undefined, "request", "ack", "auto", "status", "inform"),
  text: fc.option(fc.constantFrom(...texts), { nil: undefined, freq: 3 }),
  back: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  bytes: fc.constantFrom(100, 100, 400_000),
})
const act = fc.oneof(
  fc.record({ work: fc.constantFrom(...agents) }),
  fc.record({ operator: fc.constantFrom("#room", "@a @b") }),
  fc.record({ reset: fc.constantFrom("@a", "#room", "@a @b", undefined) }),
)
/** A sequence of events whose times and ids follow from their order. */
const story = fc
  .array(fc.oneof({ weight: 30, arbitrary: draft }, { weight: 1, arbitrary: act }), {
    minLength: 1,
    maxLength: 150,
  })
  .map((rows) => {
    let at = 1_800_000_000_000
    return rows.map((row, n): Step & { readonly now: number } => {
      if (!("from" in row)) return { ...row, now: at }
      at += row.gapMs
      const { from, target, isDirect, kind, text, back, bytes } = row
      const to = target === undefined || target === from ? [] : [target]
      const said = { id: `s${n}`, from, to, at, kind, bytes, ...(text !== undefined && { text }) }
      const answers = back === undefined || back > n ? undefined : `s${n - back}`
      return { ...said, answers, now: at, ...(!isDirect && { channel: "#room" }) }
    })
  })

/** Plays one step. @returns the refusal, if it was a message that was refused */
function play(room: GuardRoom, step: Step & { readonly now: number }): unknown {
  if ("work" in step) room.guard.refill([step.work], step.now)
  else if ("operator" in step) room.guard.operatorSpoke(step.operator)
  else if ("reset" in step) room.guard.reset(step.reset)
  else return room.say(step)
  return undefined
}

describe("a guard", () => {
  it("judges alike after it was saved and loaded, wherever that is", () => {
    fc.assert(
      fc.property(story, fc.nat(), (steps, place) => {
        const [one, other] = [new GuardRoom(), new GuardRoom()]
        for (const [n, step] of steps.entries()) {
          if (n === place % steps.length) other.restart()
          expect(play(other, step)).toEqual(play(one, step))
        }
        expect(other.warnings).toEqual(one.warnings)
        expect(other.guard.save()).toEqual(one.guard.save())
        const ts = steps.at(-1)?.now ?? 0
        for (const agent of agents) expect(other.guard.usage(agent, ts)).toEqual(one.guard.usage(agent, ts))
      }),
      { numRuns: 150 },
    )
  })

  it("changes nothing by a forecast", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const room = new GuardRoom()
        for (const step of steps) {
          const before = room.guard.save()
          if ("from" in step) room.guard.check(room.said(step))
          for (const agent of agents) room.guard.usage(agent, step.now)
          expect(room.guard.save()).toBe(before)
          play(room, step)
        }
      }),
      { numRuns: 20 },
    )
  })

  it("says when a refused message may pass, and it passes then", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const room = new GuardRoom(["conversation", "slow", "mentions", "wakes", "budget"])
        for (const step of steps) {
          const trip = play(room, step) as { retryAfterMs?: number; layer: string } | undefined
          if (trip?.retryAfterMs === undefined || !("from" in step)) continue
          expect(trip.retryAfterMs).toBeGreaterThan(0)
          const saved: unknown = JSON.parse(room.guard.save())
          const again = Guard.load(room.limits, saved, [trip.layer as RuleName])
          const said = room.said({ ...step, at: step.at + trip.retryAfterMs, id: "again" })
          expect(again.check(said)).toBeUndefined()
        }
      }),
      { numRuns: 60 },
    )
  })

  it("takes over nothing from what it did not save", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (state) => {
        const empty = new Guard(defaultGuardLimits).save()
        for (const guess of [
          state,
          { v: 4, sum: "", state },
          { v: 4, sum: "", state: { rules: Object.fromEntries(ruleNames.map((name) => [name, state])) } },
        ])
          expect(Guard.load(defaultGuardLimits, guess).save()).toBe(empty)
      }),
    )
  })

  it("saves at most 800,000 characters among 10,000 agents", () => {
    const room = new GuardRoom()
    const text = (n: number) => `${n} ${"a word of many ".repeat(4)} ${n * 7}`
    for (let n = 0; n < 30_000; n++) {
      const from = `@agent-with-a-long-name-${n % 10_000}`
      const to = n % 3 === 0 ? [] : [`@agent-with-a-long-name-${(n * 7 + 1) % 10_000}`]
      const where = n % 2 === 0 && { channel: `#room-${n % 3_000}` }
      const at = 1_800_000_000_000 + n * 10
      const answers = n % 5 === 0 ? `m${n - 2}` : undefined
      room.say({ at, id: `m${n}`, from, to, text: text(n), answers, ...where })
    }
    const saved = room.guard.save()
    expect(saved.length).toBeLessThan(800_000)
    expect(
      Guard.load(room.limits, JSON.parse(saved)).usage("@agent-with-a-long-name-9999", 1_800_000_300_000)
        .length,
    ).toBeLessThanOrEqual(50)
  })
})
