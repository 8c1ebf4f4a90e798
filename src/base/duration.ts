/**
 * The longest time that an option, a file, a field or a call of the library may name: ten years of 365 days, in
 * milliseconds.
 */
export const maxDurationMs = 315_360_000_000

const msOfUnit: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses a length of time such as `90s`, `10m`, `24h` or `7d`. @returns milliseconds; undefined if it is none, or too long */
export function parseDuration(text: string): number | undefined {
  if (!/^[1-9]\d{0,8}[smhd]$/.test(text)) return undefined
  const ms = Number(text.slice(0, -1)) * (msOfUnit[text.slice(-1)] ?? Number.NaN)
  return ms <= maxDurationMs ? ms : undefined
}
