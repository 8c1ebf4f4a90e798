/** A source of time. Everything that waits or records a time takes one, so that tests can advance it. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds from an arbitrary origin; for durations only. */
  monotonic(): number
  /** Calls `fn` once after `delayMs`. A timer with `unref` does not keep the process alive. */
  setTimer(fn: () => void, delayMs: number, options?: { unref?: boolean }): Timer
}

/** A pending {@link Clock.setTimer} call. */
export interface Timer {
  cancel(): void
}

/** The clock of the system. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(fn, delayMs, options) {
    const handle = setTimeout(fn, delayMs)
    if (options?.unref === true) handle.unref()
    return {
      cancel: () => {
        clearTimeout(handle)
      },
    }
  },
}

/** Resolves after `delayMs` of `clock`. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(resolve, delayMs))
}
