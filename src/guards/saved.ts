import type { LruMap } from "../base/lru-map.js"

/**
 * Formats the entries of a map as a JSON array of `[key, value]`, least recently used first.
 * @param mostCharacters - length of the result; the least recently used entries that do not fit are left out
 */
export function formatEntries(
  map: { newestFirst(): Iterable<[string, unknown]> },
  mostCharacters: number,
): string {
  const texts: string[] = []
  let left = mostCharacters - 2
  for (const entry of map.newestFirst()) {
    const text = JSON.stringify(entry)
    left -= text.length + 1
    if (left < 0) break
    texts.push(text)
  }
  return `[${texts.reverse().join()}]`
}

/** Adds the entries that {@link formatEntries} wrote, as parsed JSON. `Guard.load` has checked that nobody changed them. */
export function loadEntries<V>(map: Pick<LruMap<string, V>, "set">, saved: unknown): void {
  for (const [key, value] of saved as [string, V][]) map.set(key, value)
}

/** Deletes the entries whose key passes a test. */
export function deleteWhere<V>(map: LruMap<string, V>, test: (key: string, value: V) => boolean): void {
  for (const [key, value] of map) if (test(key, value)) map.delete(key)
}
