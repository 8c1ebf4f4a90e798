import { randomBytes } from "node:crypto"

/** Bytes of randomness, for two sessions that begin at once. */
const randomness = 4
/** Digits of the time: enough for texts to stand in the order of their times. */
const digits = 15

/**
 * Names a session of an identity: of two, the one that began later has the greater text.
 * @param now - milliseconds since the Unix epoch
 * @param earlier - an epoch to be over, also if a relay made it whose clock is ahead
 */
export function epochAfter(now: number, earlier: string | undefined): string {
  const ms = earlier === undefined ? now : Math.max(now, Number(earlier.slice(0, digits)) + 1)
  return `${String(ms).padStart(digits, "0")}-${randomBytes(randomness).toString("hex")}`
}
