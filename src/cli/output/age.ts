const unitMs = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const

/**
 * How long ago something was, in its largest whole unit.
 * @param ts - milliseconds since the Unix epoch; undefined: never, or not told
 */
export function formatAge(ts: number | undefined, nowMs: number): string {
  if (ts === undefined) return "–"
  const ageMs = nowMs - ts
  for (const [unit, ms] of unitMs) if (ageMs >= ms) return `${Math.floor(ageMs / ms)} ${unit} ago`
  return "now"
}
