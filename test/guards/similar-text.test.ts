import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isPleasantry } from "../../src/guards/pleasantries.js"
import { sketchOf } from "../../src/guards/similar-text.js"

const words = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `word${n + from}`)

describe("a sketch", () => {
  it("is the same whatever stands between the words", () => {
    expect(sketchOf("Hello,  WORLD!").similarity(sketchOf("hello world"))).toBe(1)
    expect(sketchOf("?!").hash).not.toBe(sketchOf("!?").hash)
  })

  it("tells how much of two texts is common, roughly", () => {
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 1_500 }), fc.integer({ min: 0, max: 100 }), (count, percent) => {
        const shared = Math.round((count * percent) / 100)
        const a = sketchOf(words(count).join(" "))
        const b = sketchOf([...words(shared), ...words(count - shared, 10_000)].join(" "))
        const common = Math.max(0, shared - 4)
        const expected = common / (2 * (count - 4) - common)
        expect(Math.abs(a.similarity(b) - expected)).toBeLessThan(0.4)
        if (percent >= 99) expect(a.similarity(b)).toBeGreaterThan(0.8)
        if (percent <= 50) expect(a.similarity(b)).toBeLessThan(0.9)
      }),
    )
  })
})

describe("courtesy", () => {
  it.each([
    "Thanks!",
    "OK",
    "Got it, thanks.",
    "You’re welcome!",
    "No further reply needed.",
    "I am not replying.",
  ])("is %s", (text) => {
    expect(isPleasantry(text, 8)).toBe(true)
  })

  it.each([
    "yes",
    "no",
    "done",
    "ok?",
    "",
    "thanks, now run the tests",
    "not in this release",
    "thanks ".repeat(9),
  ])("is not %s", (text) => {
    expect(isPleasantry(text, 8)).toBe(false)
  })
})
