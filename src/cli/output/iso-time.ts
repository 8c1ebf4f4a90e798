/** The last moment a Date can tell. */
const lastMs = 8.64e15

/**
 * A time that a stranger may have chosen, in ISO 8601.
 * @param ts - milliseconds since the Unix epoch; beyond what a Date can tell, the last moment it can
 */
export function isoTime(ts: number): string {
  return new Date(Math.min(Math.max(ts, 0), lastMs)).toISOString()
}
