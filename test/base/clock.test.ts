import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { systemClock } from "../../src/base/clock.js"

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
