/** Reports whether a value is a JSON object, not an array. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** Reports whether a value is a finite number. */
export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value)
}

/** Returns an error with its stack, as one line for a log. */
export function stackOf(error: unknown): string {
  return String(error instanceof Error ? (error.stack ?? error) : error).replaceAll(/\n\s*/g, " ")
}

/** Reports whether a value is a list of strings. */
export function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string")
}

/** Returns an object without its undefined fields, for types whose optional fields must be absent. */
export function omitUndefined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
