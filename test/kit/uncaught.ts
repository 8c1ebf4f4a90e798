/** Collects the errors that nobody handles while `act` runs; the process of a relay logs them. */
export async function collectUncaught(act: () => Promise<void>): Promise<unknown[]> {
  const event = "unhandledRejection"
  const others = process.listeners(event)
  const errors: unknown[] = []
  const collect = (error: unknown) => void errors.push(error)
  process.removeAllListeners(event).on(event, collect)
  try {
    await act()
    // Node reports them after the microtasks of a turn.
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off(event, collect)
    for (const listener of others) process.on(event, listener)
  }
  return errors
}
