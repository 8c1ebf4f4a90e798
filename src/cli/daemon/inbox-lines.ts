/** Finds lines in the inbox of a daemon. */
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"

/** Lines read at first to find the newest; then ever more. */
const firstRead = 100

/**
 * Returns the newest lines that pass a test, oldest first. Reads no more of the inbox than it needs.
 * @param count - at most this many
 */
export function newestLines(
  paths: DaemonPaths,
  count: number,
  isWanted: (fields: InboxEntry["fields"]) => boolean,
  onDamaged: (text: string) => void = () => {},
): InboxEntry[] {
  for (let last = Math.max(firstRead, 2 * count); ; last *= 8) {
    const damaged: string[] = []
    const read = [...readInbox(paths, { last }, (text) => damaged.push(text))]
    const wanted = read.filter(({ fields }) => isWanted(fields))
    if (wanted.length < count && last < (read.at(-1)?.seq ?? 0)) continue
    for (const text of damaged) onDamaged(text)
    return wanted.slice(-count)
  }
}

/** Returns the line with a number, and undefined if it is not in the inbox (any more). */
export function lineAt(paths: DaemonPaths, seq: number): InboxEntry | undefined {
  for (const entry of readInbox(paths, { sinceSeq: seq - 1 })) return entry.seq === seq ? entry : undefined
  return undefined
}

/** Yields the entries that pass a test. */
export function* only(
  entries: Iterable<InboxEntry>,
  isWanted: (entry: InboxEntry) => boolean,
): Generator<InboxEntry> {
  for (const entry of entries) if (isWanted(entry)) yield entry
}
