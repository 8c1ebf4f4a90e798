import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra, messageCost } from "../../src/guards/gcra.js"

const rate = fc.record({
  ratePerSecond: fc.double({ min: 0.1, max: 1e6, noNaN: true }),
  burst: fc.integer({ min: 1, max: 1000 }),
})

describe("Gcra", () => {
  it("lets a burst through at once, then one for each interval", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 3 })
    expect([0, 0, 0].map((nowMs) => meter.take(nowMs).ok)).toEqual([true, true, true])
    expect(meter.take(0)).toEqual({ ok: false, retryAfterMs: 1000 })
    expect(meter.take(400)).toEqual({ ok: false, retryAfterMs: 600 })
    expect(meter.take(1000).ok).toBe(true)
    expect(meter.take(1000)).toEqual({ ok: false, retryAfterMs: 1000 })
  })

  it("gives the burst back after a pause, and never more", () => {
    const meter = new Gcra({ ratePerSecond: 10, burst: 5 })
    for (let i = 0; i < 5; i++) meter.take(0)
    const later = Array.from({ length: 7 }, () => meter.take(1e9).ok)
    expect(later).toEqual([true, true, true, true, true, false, false])
  })

  it("charges a refused request nothing", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 1 })
    meter.take(0)
    for (let i = 0; i < 100; i++) meter.take(10)
    expect(meter.take(1000).ok).toBe(true)
  })

  it("takes several at once as it takes them one by one", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 4 })
    expect(meter.take(0, 3).ok).toBe(true)
    expect(meter.take(0, 2)).toEqual({ ok: false, retryAfterMs: 1000 })
    expect(meter.take(0, 1).ok).toBe(true)
  })

  it("lets the whole burst through whatever the rate", () => {
    fc.assert(
      fc.property(rate, fc.double({ min: 0, max: 1e9, noNaN: true }), ({ ratePerSecond, burst }, nowMs) => {
        const meter = new Gcra({ ratePerSecond, burst })
        for (let i = 0; i < burst; i++) expect(meter.take(nowMs).ok).toBe(true)
      }),
    )
  })

  it("never lets more than the burst and the rate through, whenever it is asked", () => {
    const pauses = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(rate, pauses, ({ ratePerSecond, burst }, gapsMs) => {
        const meter = new Gcra({ ratePerSecond, burst })
        let nowMs = 0
        let passed = 0
        for (const gapMs of gapsMs) {
          nowMs += gapMs
          if (meter.take(nowMs).ok) passed++
          expect(passed).toBeLessThanOrEqual(burst + (nowMs / 1000) * ratePerSecond + 1e-3)
        }
      }),
    )
  })

  it("passes what waits as long as it was asked to", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(rate, gaps, ({ ratePerSecond, burst }, gapsMs) => {
        const meter = new Gcra({ ratePerSecond, burst })
        let nowMs = 0
        for (const gapMs of gapsMs) {
          nowMs += gapMs
          const passage = meter.take(nowMs)
          if (passage.ok) continue
          expect(passage.retryAfterMs).toBeGreaterThan(0)
          nowMs += passage.retryAfterMs
          expect(meter.take(nowMs).ok).toBe(true)
        }
      }),
    )
  })
})

describe("Gcra.admit", () => {
  it("lets something wait its turn, and what comes after it wait behind it", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 2 })
    const waits = Array.from({ length: 6 }, () => meter.admit(0, 1, 3000))
    expect(waits.slice(0, 5)).toEqual([0, 0, 1000, 2000, 3000].map((waitMs) => ({ ok: true, waitMs })))
    expect(waits[5]).toEqual({ ok: false, retryAfterMs: 4000 })
  })

  it("lets what costs more than the burst pass once nothing is used up, and the next wait for all of it", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 10 })
    expect(meter.admit(0, 1, 0)).toEqual({ ok: true, waitMs: 0 })
    expect(meter.admit(0, 50, 0)).toEqual({ ok: false, retryAfterMs: 1000 })
    expect(meter.admit(1000, 50, 0)).toEqual({ ok: true, waitMs: 0 })
    expect(meter.admit(1000, 1, 0)).toEqual({ ok: false, retryAfterMs: 41_000 })
  })

  it("has forgotten what was given back", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 2 })
    for (let i = 0; i < 4; i++) meter.admit(0, 1, 5000)
    meter.giveBack(2)
    expect(meter.admit(0, 1, 5000)).toEqual({ ok: true, waitMs: 1000 })
  })

  it("says how much of the burst is used up, however much waits", () => {
    const meter = new Gcra({ ratePerSecond: 1, burst: 2 })
    for (let i = 0; i < 4; i++) meter.admit(0, 1, 5000)
    expect(meter.usage(0)).toEqual({ used: 2, nextInMs: 3000, freeInMs: 4000 })
    expect(meter.usage(3000)).toEqual({ used: 1, nextInMs: 0, freeInMs: 1000 })
    expect(meter.usage(4000)).toEqual({ used: 0, nextInMs: 0 })
  })

  it("counts a message once, and once more for every so many bytes", () => {
    expect([0, 2047, 2048, 4096].map((bytes) => messageCost(bytes, 2048))).toEqual([1, 1, 2, 3])
  })
})
