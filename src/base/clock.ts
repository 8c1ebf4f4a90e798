/** A source of time. Everything that waits or records a time takes one, so that tests can advance it. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds from an arbitrary origin; for durations only. */
  monotonic(): number
  /** Calls `fn` once after `delayMs`, however long that is. A timer with `unref` does not keep the process alive. */
  setTimer(fn: () => void, delayMs: number, options?: { unref?: boolean }): Timer
}

/** A pending {@link Clock.setTimer} call. */
export interface Timer {
  cancel(): void
}

/** The longest delay of `setTimeout`, 24.8 days; with a longer one it fires at once. */
const maxTimeoutMs = 2 ** 31 - 1

/** The clock of the system. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(fn, delayMs, options) {
    let handle: NodeJS.Timeout
    const wait = (restMs: number): void => {
      const isLast = restMs <= maxTimeoutMs
      handle = isLast ? setTimeout(fn, restMs) : setTimeout(() => wait(restMs - maxTimeoutMs), maxTimeoutMs)
      if (options?.unref === true) handle.unref()
    }
    wait(delayMs)
    return {
      cancel: () => {
        clearTimeout(handle)
      },
    }
  },
}

/**
 * Calls `work` again and again, `pauseMs` after it ended. An error of it, which is nobody's to handle, does not end that.
 * Does not keep the process alive.
 */
export function repeat(clock: Clock, pauseMs: number, work: () => void | Promise<void>): Timer {
  let timer: Timer | undefined
  let isCancelled = false
  const next = () => {
    if (!isCancelled) timer = clock.setTimer(run, pauseMs, { unref: true })
  }
  const run = () => {
    let done: Promise<void> | void = undefined
    try {
      done = work()
    } finally {
      if (done === undefined) next()
    }
    void done?.finally(next)
  }
  next()
  return {
    cancel: () => {
      isCancelled = true
      timer?.cancel()
    },
  }
}

/** Resolves after `delayMs` of `clock`. @param options - as for {@link Clock.setTimer} */
export function delay(clock: Clock, delayMs: number, options?: { unref?: boolean }): Promise<void> {
  return new Promise((resolve) => clock.setTimer(resolve, delayMs, options))
}
