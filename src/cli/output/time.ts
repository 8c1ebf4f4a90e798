/** Times as a person or a program reads them. All are given in milliseconds since the Unix epoch. */

const unitMs = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const

/** Returns the time elapsed since `ts` in its largest whole unit, such as `3 h ago`; `–` if `ts` is undefined. */
export function formatAge(ts: number | undefined, nowMs: number): string {
  if (ts === undefined) return "–"
  const ageMs = nowMs - ts
  for (const [unit, ms] of unitMs) if (ageMs >= ms) return `${Math.floor(ageMs / ms)} ${unit} ago`
  return "now"
}

/** Latest time that a Date can hold. */
const maxMs = 8.64e15

/** Returns a time in ISO 8601. A time outside the range of Date, which another agent may send, becomes its limit. */
export function formatIsoTime(ts: number): string {
  return new Date(Math.min(Math.max(ts, 0), maxMs)).toISOString()
}

/**
 * Returns a local time: `14:03:59` today, `2026-11-29 14:03:59` on another day; `--:--:--` if `ts` is not a valid time.
 * @param nowMs - says which day is today
 */
export function formatTime(ts: unknown, nowMs: number): string {
  return withDate(ts, nowMs, ["getHours", "getMinutes", "getSeconds"]) ?? "--:--:--"
}

/** Returns a local time without seconds, such as `14:03` or `2026-11-29 14:03`; `--:--` if it is not valid. */
export function formatMinute(ts: unknown, nowMs: number): string {
  return withDate(ts, nowMs, ["getHours", "getMinutes"]) ?? "--:--"
}

type ClockPart = "getHours" | "getMinutes" | "getSeconds"

function withDate(ts: unknown, nowMs: number, parts: readonly ClockPart[]): string | undefined {
  const date = new Date(typeof ts === "number" ? ts : Number.NaN)
  if (Number.isNaN(date.getTime())) return undefined
  const clock = parts.map((part) => twoDigits(date[part]())).join(":")
  const day = dayOf(date)
  return day === dayOf(new Date(nowMs)) ? clock : `${day} ${clock}`
}

function dayOf(date: Date): string {
  return [date.getFullYear(), twoDigits(date.getMonth() + 1), twoDigits(date.getDate())].join("-")
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0")
}
