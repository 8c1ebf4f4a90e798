import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra, messageCost } from "../../../src/guards/gcra.js"
import type { ClientMessage } from "../../../src/protocol/client-messages.js"
import { ByteBudget } from "../../../src/server/sessions/byte-budget.js"
import { DelayLine } from "../../../src/server/sessions/delay-line.js"
import { FakeClock } from "../../kit/fake-clock.js"

const message = (id: string) => ({ type: "MSG", to: "#a", content: "x", id }) as ClientMessage
const request = (id: string) => ({ type: "LEAVE", channel: "#a", id }) as ClientMessage

/** A delay line, and the frames it has passed. */
function lineOf({ delayedFrames = 100, delayedBytes = 1e6, totalBytes = 1e6 } = {}) {
  const clock = new FakeClock()
  const meter = new Gcra({ ratePerSecond: 1, burst: 1 })
  const budget = new ByteBudget(totalBytes)
  const passed: (string | undefined)[] = []
  const held = new Map<string, Promise<void>>()
  const line = new DelayLine({
    ...{ clock, meter, budget, limits: { delayedFrames, delayedBytes } },
    pass: ({ id = "" }) => {
      passed.push(id)
      return held.get(id)
    },
  })
  const push = (id: string, waitMs: number, bytes = 100) =>
    line.push({ message: message(id), bytes, cells: 1 }, waitMs)
  return { clock, meter, budget, passed, held, line, push }
}

describe("DelayLine", () => {
  it("passes each frame when it is due, in order, with one timer", () => {
    const { clock, line, passed, push } = lineOf()
    for (const [index, id] of ["a", "b", "c"].entries()) push(id, (index + 1) * 1000)
    line.push({ message: request("leave"), bytes: 10, cells: 0 }, 0)
    expect(clock.pending).toEqual([1000])
    clock.advance(1000)
    expect(passed).toEqual(["a"])
    clock.advance(1999)
    expect(passed).toEqual(["a", "b"])
    clock.advance(1)
    expect(passed).toEqual(["a", "b", "c", "leave"])
    expect([line.isEmpty, clock.pending]).toEqual([true, []])
  })

  it("waits for a frame that takes longer", async () => {
    const { clock, held, passed, push } = lineOf()
    let finish = () => {}
    held.set("a", new Promise((resolve) => void (finish = resolve)))
    push("a", 1000)
    push("b", 2000)
    clock.advance(5000)
    expect(passed).toEqual(["a"])
    finish()
    await held.get("a")
    await Promise.resolve()
    expect(passed).toEqual(["a", "b"])
  })

  it("refuses frames beyond its own bounds and those of all lines together", () => {
    for (const bounds of [{ delayedFrames: 2 }, { delayedBytes: 2_000 }, { totalBytes: 2_000 }]) {
      const { clock, budget, push } = lineOf(bounds)
      expect(["a", "b", "c"].map((id) => push(id, 1000, 300))).toEqual([true, true, false])
      clock.advance(1000)
      expect(push("c", 1000, 300)).toBe(true)
      expect(budget.fits((bounds.totalBytes ?? 1e6) - 900)).toBe(true)
    }
  })

  it("finds messages that wait", () => {
    const { clock, line, push } = lineOf()
    push("a", 1000)
    expect(["a", "b"].map((id) => line.has(message(id)))).toEqual([true, false])
    expect(line.has(request("a"))).toBe(false)
    clock.advance(1000)
    expect(line.has(message("a"))).toBe(false)
  })

  it("releases timers, bytes and charges when its session ends", () => {
    const { clock, line, meter, budget, passed, push } = lineOf()
    for (const id of ["now", "a", "b"]) {
      const admission = meter.admit(0, 1, 10_000)
      if (admission.ok && admission.waitMs > 0) push(id, admission.waitMs)
    }
    line.drop()
    expect(clock.pending).toEqual([])
    expect(budget.fits(1e6)).toBe(true)
    expect(meter.usage(0)).toMatchObject({ used: 1, freeInMs: 1000 })
    clock.advance(60_000)
    expect(passed).toEqual([])
  })
})

describe("frames at random times", () => {
  const arrivals = fc.array(
    fc.record({
      gapMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 })),
      bytes: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 60_000 })),
    }),
    { minLength: 1, maxLength: 120 },
  )
  const rules = fc.record({
    ratePerSecond: fc.constantFrom(0.5, 1, 3, 10),
    burst: fc.integer({ min: 1, max: 12 }),
    patienceMs: fc.integer({ min: 0, max: 10_000 }),
  })

  it("pass in order, once each, within the patience or not at all", () => {
    fc.assert(
      fc.property(rules, arrivals, (rule, list) => {
        const { passed, refused, cameMs } = play(rule, list)
        const indexes = passed.map(({ index }) => index)
        expect(indexes).toEqual([...indexes].sort((a, b) => a - b))
        expect([...indexes, ...refused].sort((a, b) => a - b)).toEqual(list.map((_, index) => index))
        for (const { index, atMs } of passed) {
          expect(atMs - (cameMs[index] ?? 0)).toBeLessThanOrEqual(rule.patienceMs)
        }
      }),
    )
  })

  it("pass within the burst and the rate in any period", () => {
    fc.assert(
      fc.property(rules, arrivals, (rule, list) => {
        const { ratePerSecond, burst } = rule
        const { passed } = play(rule, list)
        for (const [from, { atMs: firstMs }] of passed.entries()) {
          let cells = 0
          // Waits end at a whole millisecond. A frame that passed a little late shortens the time to the next one.
          const fromMs = from === 0 ? 0 : firstMs - 1
          for (const { cost, atMs } of passed.slice(from)) {
            // The last one may exceed the burst. The next ones wait for what it costs beyond that.
            const allowed = burst + ((atMs - fromMs) / 1000) * ratePerSecond - Math.min(cost, burst)
            if (cells > allowed + 1e-3) expect.fail(`${cells} cells before, ${allowed} allowed`)
            cells += cost
          }
        }
      }),
    )
  })
})

interface Rule {
  readonly ratePerSecond: number
  readonly burst: number
  readonly patienceMs: number
}

/** Adds the messages of `list` at their times, and runs until none waits. */
function play(
  { ratePerSecond, burst, patienceMs }: Rule,
  list: readonly { readonly gapMs: number; readonly bytes: number }[],
) {
  const clock = new FakeClock()
  const meter = new Gcra({ ratePerSecond, burst })
  const costs = list.map(({ bytes }) => messageCost(bytes, 2_048))
  const passed: { readonly index: number; readonly cost: number; readonly atMs: number }[] = []
  const pass = ({ id }: ClientMessage) => {
    const index = Number(id)
    passed.push({ index, cost: costs[index] ?? 0, atMs: clock.monotonic() })
  }
  const limits = { delayedFrames: 1e9, delayedBytes: 1e12 }
  const line = new DelayLine({ ...{ clock, meter, limits, pass }, budget: new ByteBudget(1e12) })
  const cameMs: number[] = []
  const refused: number[] = []
  for (const [index, { gapMs, bytes }] of list.entries()) {
    clock.advance(gapMs)
    cameMs.push(clock.monotonic())
    const cells = costs[index] ?? 0
    const admission = meter.admit(clock.monotonic(), cells, patienceMs)
    if (!admission.ok) refused.push(index)
    else if (admission.waitMs === 0 && line.isEmpty) pass(message(`${index}`))
    else expect(line.push({ message: message(`${index}`), bytes, cells }, admission.waitMs)).toBe(true)
  }
  clock.advance(patienceMs)
  expect(line.isEmpty).toBe(true)
  return { passed, refused, cameMs }
}
