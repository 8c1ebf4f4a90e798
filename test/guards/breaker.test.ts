import { describe, expect, it } from "vitest"
import { Breaker } from "../../src/guards/breaker.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"

const limits = { ...defaultGuardLimits, breakerWarn: 2, breakerPause: 3, breakerStop: 5 }

/** Steps that follow when `by` wakes it and it answers, one second apart. */
function talk(breaker: Breaker, wakers: readonly string[]): (string | undefined)[] {
  return wakers.map((by, index) => {
    breaker.woken(by, `m${index}`)
    return breaker.answered(index * 1_000)?.state
  })
}

describe("a breaker", () => {
  it("warns, pauses and stops who does nothing but answer", () => {
    const breaker = new Breaker(limits)
    const steps = talk(breaker, Array<string>(6).fill("@a"))
    expect(steps).toEqual([undefined, undefined, "warned", "paused", "paused", "stopped"])
    breaker.worked()
    expect(breaker.holds(1e12)?.state).toBe("stopped")
    expect(Breaker.load(limits, JSON.parse(JSON.stringify(breaker.save()))).holds(1e12)?.state).toBe(
      "stopped",
    )
    breaker.reset()
    expect(breaker.holds(6_000)).toBeUndefined()
  })

  it("forgets nothing while it is stopped", () => {
    const breaker = new Breaker(limits)
    talk(breaker, Array<string>(6).fill("@a"))
    const laterMs = 30 * limits.conversationRegainMs
    expect(breaker.used(laterMs)).toBeGreaterThan(limits.breakerStop - 1)
    expect(breaker.holds(laterMs)).toEqual({ state: "stopped", used: limits.breakerStop })
  })

  it("counts neither answers to many, one each, nor what nobody asked for, and forgets", () => {
    const breaker = new Breaker(limits)
    expect(talk(breaker, ["@a", "@b", "@c", "@d", "@e", "@f"]).every((step) => step === undefined)).toBe(true)
    for (let index = 0; index < 20; index++) expect(breaker.answered(index)).toBeUndefined()
    breaker.woken("@a", "m")
    breaker.answered(7_000)
    expect(Math.round(breaker.used(7_000))).toBe(1)
    expect(breaker.used(7_000 + limits.conversationRegainMs)).toBe(0)
    expect(Breaker.load(limits, { used: "x" }).used(0)).toBe(0)
  })

  it("reports so many lines refused in a row, and no more until one is accepted", () => {
    const breaker = new Breaker(limits)
    const told = () => Array.from({ length: 50 }, () => breaker.rejected()).filter((isTold) => isTold).length
    expect(told()).toBe(limits.breakerRejected)
    expect(told()).toBe(0)
    const saved = JSON.parse(JSON.stringify(breaker.save())) as object
    expect(Breaker.load(limits, saved).isSilent).toBe(true)
    expect(Breaker.load(limits, { ...saved, rejected: undefined }).isSilent).toBe(false)
    expect(Breaker.load(limits, { ...saved, rejected: "x" }).isSilent).toBe(false)
    // Work that is done elsewhere is no line that was taken.
    breaker.worked()
    expect(breaker.isSilent).toBe(true)
    expect([breaker.accepted(), breaker.accepted()]).toEqual([true, false])
    expect(told()).toBe(limits.breakerRejected)
    breaker.reset()
    expect(told()).toBe(limits.breakerRejected)
  })
})
