import { closeSync, fstatSync, openSync } from "node:fs"
import type { DaemonPaths } from "../files/paths.js"
import { readSeq } from "./line.js"
import { lastSeqOf, offsetAfter, scanLines } from "./scan.js"
import { lastSealedSeq, listSegments } from "./segment.js"

/** One line of the inbox. */
export interface InboxEntry {
  readonly seq: number
  /** The line as it stands in the file, without the spaces and the newline at its end. */
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Where to begin: so many lines before the end, or after a line. */
export type InboxRange = { readonly last: number } | { readonly sinceSeq: number }

export type InboxFiles = Pick<DaemonPaths, "inbox" | "segments">

type OnDamaged = (text: string) => void

/**
 * The lines of an inbox in order, across its segments and the file itself, up to the present end.
 * May be consumed slowly while the daemon rotates: no line comes twice or is passed over, unless
 * retention removed its segment. Never waits and never locks. Throws the system's errors.
 * @param onDamaged - gets each line that is none, as far as it is readable
 */
export function* readInbox(
  files: InboxFiles,
  range: InboxRange,
  onDamaged: OnDamaged = () => {},
): Generator<InboxEntry> {
  const isSealed = (seq: number) => lastSealedSeq(files.segments) > seq
  let after = "last" in range ? Math.max(0, lastSeq(files) - range.last) : range.sinceSeq
  do {
    for (const { path, last } of listSegments(files.segments)) {
      if (last > after) after = Math.max(last, yield* readFile(path, after, onDamaged, () => false))
    }
    after = yield* readFile(files.inbox, after, onDamaged, isSealed)
  } while (isSealed(after))
}

/** The newest `seq` there is; 0 for an inbox without lines. */
function lastSeq(files: InboxFiles): number {
  const live = withFile(files.inbox, (fd) => lastSeqOf(fd, fstatSync(fd).size))
  return Math.max(live ?? 0, lastSealedSeq(files.segments))
}

/**
 * Lines of one file after `after`.
 * @param isSealed - whether lines after a `seq` were sealed by now: then the file was emptied under our
 *   eyes, and what seems damaged or out of order is a line read in the middle
 * @returns the last `seq` seen
 */
function* readFile(
  path: string,
  after: number,
  onDamaged: OnDamaged,
  isSealed: (seq: number) => boolean,
): Generator<InboxEntry, number> {
  const fd = openIfThere(path)
  if (fd === undefined) return after
  try {
    for (const line of scanLines(fd, offsetAfter(fd, fstatSync(fd).size, after))) {
      const seq = readSeq(line)
      if (seq !== undefined && seq <= after) continue
      const entry = parseEntry(line)
      if (entry?.seq !== after + 1 && isSealed(after)) return after
      if (entry === undefined) onDamaged(line.toString())
      else {
        after = entry.seq
        yield entry
      }
    }
  } finally {
    closeSync(fd)
  }
  return after
}

function parseEntry(line: Buffer): InboxEntry | undefined {
  const seq = readSeq(line)
  if (seq === undefined) return undefined
  const text = line.toString().trimEnd()
  try {
    return { seq, text, fields: JSON.parse(text) as InboxEntry["fields"] }
  } catch {
    return undefined
  }
}

function withFile<T>(path: string, use: (fd: number) => T): T | undefined {
  const fd = openIfThere(path)
  if (fd === undefined) return undefined
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
