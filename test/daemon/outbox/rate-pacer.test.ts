import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RatePacer } from "../../../src/daemon/outbox/rate-pacer.js"
import { Gcra, messageCost } from "../../../src/guards/gcra.js"
import { defaultGuardLimits } from "../../../src/guards/limits.js"

const { rateBytes, ratePatienceMs } = defaultGuardLimits

const limitsOf = (rate_per_s: number, burst: number) => ({
  ...{ frame_bytes: 262_144, rate_per_s, burst, rate_bytes: rateBytes, buffer: 20 },
})

const bytesOf = (frame: object) => Buffer.byteLength(JSON.stringify(frame))

describe("RatePacer", () => {
  it("sends nothing the relay refuses, however long the lines are and however the network delays them", () => {
    const lines = fc.array(
      fc.record({
        /** Time since the line before. */
        gapMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000 })),
        characters: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 80_000 })),
        jitterMs: fc.integer({ min: 0, max: 3_000 }),
      }),
      { minLength: 1, maxLength: 150 },
    )
    const rates = fc.record({
      rate: fc.constantFrom(0.5, 1, 2, 10),
      burst: fc.integer({ min: 10, max: 20 }),
    })
    fc.assert(
      fc.property(rates, lines, ({ rate, burst }, list) => {
        const pacer = new RatePacer(limitsOf(rate, burst))
        const meter = new Gcra({ ratePerSecond: rate, burst })
        let nowMs = 0
        let arrivalMs = 0
        for (const { gapMs, characters, jitterMs } of list) {
          nowMs += gapMs
          const bytes = bytesOf({ type: "MSG", to: "#a", content: "ü".repeat(characters), id: "x" })
          for (let ms = pacer.waitMs(bytes, nowMs); ms > 0; ms = pacer.waitMs(bytes, nowMs)) nowMs += ms
          arrivalMs = Math.max(arrivalMs, nowMs + jitterMs)
          expect(meter.admit(arrivalMs, messageCost(bytes, rateBytes), ratePatienceMs).ok).toBe(true)
        }
      }),
    )
  })

  it("counts what a signature adds to a draft", () => {
    const pacer = new RatePacer(limitsOf(1, 10))
    const draft = { type: "PROPOSAL", task: "x".repeat(2_000) }
    const [draftBytes, statementBytes] = [bytesOf(draft), bytesOf({ ...draft, sig: "x".repeat(86) })]
    for (let i = 0; i < 5; i++) {
      expect(pacer.waitMs(draftBytes, 0)).toBe(0)
      pacer.addSignature(draftBytes, statementBytes, 0)
    }
    expect(pacer.waitMs(draftBytes, 0)).toBeGreaterThan(0)
  })

  it("counts each line once when the relay sends no rate_bytes, or 0", () => {
    for (const rate_bytes of [undefined, 0]) {
      const { rate_bytes: _sent, ...older } = limitsOf(1, 3)
      const pacer = new RatePacer(rate_bytes === undefined ? older : { ...older, rate_bytes })
      const long = bytesOf({ content: "x".repeat(100_000) })
      expect([0, 0, 0].map((nowMs) => pacer.waitMs(long, nowMs))).toEqual([0, 0, 0])
      expect(pacer.waitMs(long, 0)).toBeGreaterThan(0)
    }
  })
})
