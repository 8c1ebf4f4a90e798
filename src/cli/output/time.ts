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

/** Returns the local time of day, such as `14:03:59`; `--:--:--` if `ts` is not a valid time. */
export function formatTime(ts: unknown): string {
  const date = new Date(typeof ts === "number" ? ts : Number.NaN)
  if (Number.isNaN(date.getTime())) return "--:--:--"
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":")
}
