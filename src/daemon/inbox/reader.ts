import { closeSync, fstatSync } from "node:fs"
import { basename, dirname } from "node:path"
import type { Clock, Timer } from "../../base/clock.js"
import { openIfExists, withFile } from "../../base/files.js"
import type { DaemonPaths } from "../files/paths.js"
import { readSeq } from "./line.js"
import { lastSeqOf, offsetAfter, scanLines } from "./scan.js"
import { lastSealedSeq, listSegments } from "./segments.js"

/** One line of the inbox. */
export interface InboxEntry {
  readonly seq: number
  /** The line as it is in the file, without the spaces and the newline at its end. */
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Where to begin: a number of lines before the end, or after a line. */
export type InboxRange = { readonly last: number } | { readonly sinceSeq: number }

export type InboxFiles = Pick<DaemonPaths, "inbox" | "segments">

type OnDamaged = (text: string) => void

/** Milliseconds a follower sleeps without a file event; where the system reports none, it finds new lines that late. */
const idleMs = 1_000

/**
 * Reads the lines of an inbox in order, across its segments and the file, up to its current end. The daemon may rotate
 * meanwhile, and the consumer may be slow: no line comes twice or is skipped, unless retention removed its segment.
 * Never waits and never locks. Throws the system's errors.
 * @param onDamaged - gets each line that cannot be parsed
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

/** Options of {@link followInbox}. */
export interface FollowOptions {
  readonly clock: Clock
  /** Ends the iteration. */
  readonly signal: AbortSignal
  /** As for {@link readInbox}; each damaged line is reported once. */
  readonly onDamaged?: OnDamaged
}

/**
 * Reads the lines of an inbox after `afterSeq`, and then each new one as it is written. Finds its position by `seq` alone
 * on every wake-up, so rotation, deletion and restarts of the daemon need no special care.
 */
export async function* followInbox(
  files: InboxFiles,
  afterSeq: number,
  { clock, signal, onDamaged }: FollowOptions,
): AsyncGenerator<InboxEntry, void> {
  const wakeUp = new WakeUp(clock)
  const notify = () => wakeUp.notify()
  const isOver = () => signal.aborted
  const reportOnce = withoutRepeats(onDamaged)
  signal.addEventListener("abort", notify)
  // Only followers need it.
  const { watchDirectory } = await import("../files/file-tail.js")
  // The directory, because the file may be deleted and created again.
  const unwatch = watchDirectory(dirname(files.inbox), (name) => {
    if (name === null || name === basename(files.inbox)) notify()
  })
  try {
    while (!isOver()) {
      for (const entry of readInbox(files, { sinceSeq: afterSeq }, reportOnce)) {
        afterSeq = entry.seq
        yield entry
        if (isOver()) return
      }
      await wakeUp.wait(idleMs)
    }
  } finally {
    signal.removeEventListener("abort", notify)
    unwatch()
  }
}

/** Returns the newest `seq`; 0 for an empty inbox. */
function lastSeq(files: InboxFiles): number {
  const live = withFile(files.inbox, (fd, { size }) => lastSeqOf(fd, size))
  return Math.max(live ?? 0, lastSealedSeq(files.segments))
}

/**
 * Reads the lines of one file after `after`.
 * @param isSealed - reports whether lines after a `seq` are sealed by now. If so, the file was emptied during the
 * read, and a line that seems damaged or out of order is only half a line.
 * @returns the last `seq` read
 */
function* readFile(
  path: string,
  after: number,
  onDamaged: OnDamaged,
  isSealed: (seq: number) => boolean,
): Generator<InboxEntry, number> {
  const fd = openIfExists(path)
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

/** Reports a damaged line once, although one at the end of the file is read again on every wake-up. */
function withoutRepeats(report: OnDamaged | undefined): OnDamaged {
  let last: string | undefined
  return (text) => {
    if (text !== last) report?.(text)
    last = text
  }
}

/** A sleep that can be ended early. A notification while nobody sleeps ends the next sleep at once. */
class WakeUp {
  readonly #clock: Clock
  #isNotified = false
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  notify(): void {
    this.#isNotified = true
    this.#wake?.()
  }

  /** Sleeps until {@link notify} is called or `maxMs` have passed. */
  async wait(maxMs: number): Promise<void> {
    if (!this.#isNotified) {
      let timer: Timer | undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        timer = this.#clock.setTimer(resolve, maxMs)
      })
      timer?.cancel()
      this.#wake = undefined
    }
    this.#isNotified = false
  }
}
