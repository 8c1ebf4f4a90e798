import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { repeat, systemClock } from "../../src/base/clock.js"
import { FakeClock } from "../kit/fake-clock.js"
import { collectUncaught } from "../kit/uncaught.js"

const limitMs = 2 ** 31 - 1

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it.each([1, limitMs - 1, limitMs, limitMs + 1, 30 * 86_400_000, 2 * limitMs + 1, 315_360_000_000])(
  "a timer of %i ms fires once, when it is due",
  (delayMs) => {
    let fired = 0
    systemClock.setTimer(() => fired++, delayMs)
    vi.advanceTimersByTime(delayMs - 1)
    expect(fired).toBe(0)
    vi.advanceTimersByTime(1)
    expect(fired).toBe(1)
    vi.advanceTimersByTime(limitMs)
    expect(fired).toBe(1)
  },
)

it("a long timer can be cancelled at any step", () => {
  let fired = 0
  const timers = [0, 1, 2].map(() => systemClock.setTimer(() => fired++, 3 * limitMs))
  for (const timer of timers) {
    timer.cancel()
    vi.advanceTimersByTime(limitMs)
  }
  expect(vi.getTimerCount()).toBe(0)
  expect(fired).toBe(0)
})

it("a timer that never ends does not fire", () => {
  const fn = vi.fn()
  const timer = systemClock.setTimer(fn, Infinity)
  vi.advanceTimersByTime(10 * limitMs)
  expect(fn).not.toHaveBeenCalled()
  timer.cancel()
})

it("work is repeated after it has ended, also if it fails, until that is cancelled", async () => {
  vi.useRealTimers()
  const clock = new FakeClock()
  const failure = new TypeError("a fault of the program")
  const outcomes = [() => {}, () => Promise.reject(failure), () => Promise.resolve(), () => undefined]
  let calls = 0
  const timer = repeat(clock, 1_000, () => outcomes[calls++]?.())
  const pass = async () => {
    clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const uncaught = await collectUncaught(async () => {
    for (let n = 0; n < 4; n++) await pass()
  })
  expect([calls, uncaught]).toEqual([4, [failure]])
  timer.cancel()
  await pass()
  expect([calls, clock.pending]).toEqual([4, []])
})

it("work that throws is repeated", () => {
  const clock = new FakeClock()
  let calls = 0
  const timer = repeat(clock, 1_000, () => {
    if (++calls === 1) throw new TypeError("a fault of the program")
  })
  expect(() => clock.advance(1_000)).toThrow("a fault")
  clock.advance(2_000)
  expect(calls).toBe(3)
  timer.cancel()
})
