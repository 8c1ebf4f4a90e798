import { setTimeout as sleep } from "node:timers/promises"

/** Waits until `probe` returns something other than undefined or false; fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 45_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const startMs = performance.now()
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    // A probe that parses a whole inbox must not take the processor from the processes it waits for.
    await sleep(Math.max(10, 4 * (performance.now() - startMs)))
  }
}
