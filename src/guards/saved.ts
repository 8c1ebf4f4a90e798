import type { LruMap } from "../base/lru-map.js"

/**
 * Formats the entries of a map as a JSON array of `[key, value]`, least recently used first.
 * @param mostCharacters - length of the result; the least recently used entries that do not fit are left out
 */
export function formatEntries<V>(map: LruMap<string, V>, mostCharacters: number): string {
  const texts: string[] = []
  let left = mostCharacters - 2
  for (const entry of [...map].reverse()) {
    const text = JSON.stringify(entry)
    left -= text.length + 1
    if (left < 0) break
    texts.push(text)
  }
  return `[${texts.reverse().join()}]`
}

/**
 * Adds the entries that {@link formatEntries} wrote.
 * @param read - makes a value of parsed JSON; undefined leaves the entry out
 */
export function readEntries<V>(
  map: LruMap<string, V>,
  saved: unknown,
  read: (value: unknown) => V | undefined,
): void {
  if (!Array.isArray(saved)) return
  for (const entry of saved as unknown[]) {
    if (!Array.isArray(entry)) continue
    const [key, value] = entry as unknown[]
    const made = typeof key === "string" ? read(value) : undefined
    if (typeof key === "string" && made !== undefined) map.set(key, made)
  }
}

/** Deletes the entries whose key passes a test. */
export function deleteWhere<V>(map: LruMap<string, V>, test: (key: string, value: V) => boolean): void {
  for (const [key, value] of map) if (test(key, value)) map.delete(key)
}
