/**
 * The numbers of log entries. A storage that loses entries, because it was emptied or restored from an older copy,
 * must not give their numbers to others: readers would take the new entries for old ones. A storage cannot know
 * everything it has lost, so each of its lives starts at a number made from the time, above those of earlier lives.
 */

/** 2026-01-01T00:00Z in milliseconds since the Unix epoch. */
const originMs = 1_767_225_600_000
/** Numbers per millisecond, and so the highest lasting rate of entries. Numbers are safe integers until 2311. */
const numbersPerMs = 1_000
/** A reader that joins may remember a position this far below the first number it was sent. */
const slack = 1_000

/** Numbers above `after` and below `until`, which a log never gave. */
export interface NumberGap {
  readonly after: number
  readonly until: number
}

/** Returns the number with which a life that begins at `ts` starts. @param ts - milliseconds since the Unix epoch */
export function firstNumber(ts: number): number {
  return Math.max(0, Math.floor((ts - originMs) * numbersPerMs))
}

/**
 * Reports whether a reader's position belongs to another life of the log: it is ahead of the log, or in its gap.
 * @param last - the highest number of the log
 */
export function isForeign(seq: number, last: number, gap: NumberGap | undefined): boolean {
  return seq > last || (gap !== undefined && seq > gap.after && seq < gap.until - slack)
}
