import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, writeSync } from "node:fs"
import { basename, dirname } from "node:path"
import { openPlain, syncDirectory } from "../../base/files.js"
import { type CommitEntry, type CommitEvents, GroupCommit } from "./group-commit.js"
import { formatBody, formatNumbered, type InboxLine } from "./line.js"
import type { InboxPaths, Recovered } from "./recovery.js"
import type { FileSize } from "./rotation-policy.js"
import { wholeBytesOf } from "./scan.js"
import { formatSegmentName, sealSegment } from "./segments.js"

/** Size of one write call: large enough to be cheap, small enough not to block the process for long. */
const batchSize = 1024 * 1024
/** The file is readable too, so that a file somebody deleted can still be sealed through its descriptor. */
const openFlags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT
const newline = 0x0a

/** A line that waits to be written. A duplicate has no body; it waits for the commit of the lines before it. */
export interface QueuedLine extends CommitEntry {
  readonly body: string | undefined
}

/** Numbered lines for one write call. */
export interface InboxBatch {
  readonly entries: readonly QueuedLine[]
  readonly lines: number
  readonly bytes: Buffer
  /** Bytes that are in the file; fewer than all only after the disk ran full. */
  written: number
}

/** The state of the file compared with what this process wrote. */
export type FileState = "ours" | "changed" | "gone"

/**
 * Numbers lines and writes them to inbox.jsonl. The caller decides when each step is allowed. Every method throws the
 * system's errors.
 */
export class InboxWriter {
  readonly #paths: InboxPaths
  readonly #queue = new LineQueue()
  readonly #events: { requireHome?(): void }
  readonly #commit: GroupCommit
  #file: InboxFile | undefined
  /** The batch to write next; kept while the file must not grow or the disk refuses it. */
  #batch: InboxBatch | undefined
  #lines = 0
  #firstSeq = 1
  #lastSeq = 0

  constructor(paths: InboxPaths, events: CommitEvents & { requireHome?(): void }) {
    this.#paths = paths
    this.#events = events
    this.#commit = new GroupCommit(events)
  }

  get lastSeq(): number {
    return this.#lastSeq
  }

  get size(): FileSize {
    return { lines: this.#lines, bytes: this.#file?.bytes ?? 0 }
  }

  /** Reports whether lines wait to be written. */
  get hasWork(): boolean {
    return this.#batch !== undefined || !this.#queue.isEmpty
  }

  /** Reports whether a batch is prepared and not written. */
  get hasBatch(): boolean {
    return this.#batch !== undefined
  }

  /** Approximate bytes of the lines that wait. */
  get heldBytes(): number {
    const batch = this.#batch
    return this.#queue.size + (batch === undefined ? 0 : batch.bytes.length - batch.written)
  }

  /** Written lines that are not known to be on disk. */
  get unsyncedLines(): number {
    return this.#commit.waiting
  }

  /** Continues after what was found in the file. `seq` never goes back. */
  adopt(found: Recovered): void {
    this.#lines = found.lines
    this.#lastSeq = Math.max(this.#lastSeq, found.lastSeq)
    this.#firstSeq = found.lines > 0 ? found.firstSeq : this.#lastSeq + 1
  }

  push(entry: QueuedLine): void {
    this.#queue.push(entry)
  }

  /** Puts an INBOX_ROTATED line first: it names the segment with the lines before it. */
  announceRotation(segmentName: string, ts: number): void {
    this.#pushFirst({
      type: "INBOX_ROTATED",
      segment: `${basename(this.#paths.segments)}/${segmentName}`,
      ts,
    })
  }

  /** Puts a NOTICE first: another program removed lines from the file. */
  announceCut(ts: number): void {
    const message = `inbox.jsonl was cut by another program; lines up to seq ${this.#lastSeq} may be missing`
    this.#pushFirst({ type: "NOTICE", code: "FILE_FAILED", message, ts })
  }

  /** Checks the file on disk. Unless it is ours, the lines of a partly written batch are queued again. */
  check(): FileState {
    if (this.#file === undefined) {
      this.#events.requireHome?.()
      this.#file = InboxFile.open(this.#paths.inbox)
    }
    const state = this.#file.check()
    if (state !== "ours") this.requeue()
    return state
  }

  /** Prepares the next batch. @returns bytes in the file once it is written */
  prepare(): number {
    const { bytes } = this.size
    this.#batch ??= this.#queue.take(this.#lastSeq + 1, bytes, batchSize)
    return bytes + this.#batch.bytes.length - this.#batch.written
  }

  /** Writes the prepared batch, or what a full disk left of it. */
  write(): void {
    const batch = this.#batch
    if (batch === undefined || this.#file === undefined) return
    this.#file.append(batch)
    this.#batch = undefined
    this.#onWritten(batch.entries, batch.lines)
  }

  /** Gives up the prepared batch: lines that are whole in the file count as written, the others are queued again. */
  requeue(): void {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    const { entries, lines } = this.#queue.giveBack(batch)
    this.#onWritten(entries, lines)
  }

  /**
   * Copies the whole lines of the file to a segment and syncs it. Nothing may be appended before {@link empty}.
   * @returns the name of the segment; undefined if there is no whole line
   */
  async seal(): Promise<string | undefined> {
    const file = this.#file
    await this.#commit.idle()
    if (file === undefined) return undefined
    const bytes = wholeBytesOf(file.fd, file.bytes)
    const name = formatSegmentName(this.#firstSeq, this.#lastSeq)
    if (bytes > 0) await sealSegment(file.fd, bytes, this.#paths.segments, name)
    this.#commit.settle()
    return bytes > 0 ? name : undefined
  }

  /** Empties the file in place, or closes it if it is gone from its path. @returns whether it was emptied */
  empty(): boolean {
    if (this.#file?.check() === "gone") {
      this.drop()
      return false
    }
    this.#file?.truncate()
    this.#restart()
    return true
  }

  /** Closes a file that is gone; {@link check} creates the next one. Call {@link seal} first. */
  drop(): void {
    this.#commit.settle()
    this.#file?.close()
    this.#file = undefined
    this.#restart()
  }

  /** Waits for the running sync and closes the file. */
  async close(): Promise<void> {
    await this.#commit.idle()
    this.#file?.close()
    this.#file = undefined
  }

  #pushFirst(line: InboxLine): void {
    this.#queue.unshift({ body: formatBody(line), msgId: undefined, mark: undefined })
  }

  #restart(): void {
    this.#lines = 0
    this.#firstSeq = this.#lastSeq + 1
  }

  #onWritten(entries: readonly QueuedLine[], lines: number): void {
    let seq = this.#lastSeq
    for (const entry of entries) if (entry.body !== undefined) entry.seq = ++seq
    this.#lines += lines
    this.#lastSeq = seq
    if (this.#file !== undefined) this.#commit.add(this.#file.fd, entries, lines > 0)
  }
}

/** Lines in the order they came. They are numbered when they leave the queue. */
export class LineQueue {
  #entries: QueuedLine[] = []
  /** Characters of all bodies, which approximates their bytes. */
  #size = 0

  get size(): number {
    return this.#size
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  push(entry: QueuedLine): void {
    this.#entries.push(entry)
    this.#size += sizeOf(entry)
  }

  unshift(...entries: readonly QueuedLine[]): void {
    this.#entries = [...entries, ...this.#entries]
    for (const entry of entries) this.#size += sizeOf(entry)
  }

  /**
   * Takes one line, and then more up to `maxSize`.
   * @param firstSeq - number of the first line
   * @param offset - where in the file it begins
   */
  take(firstSeq: number, offset: number, maxSize: number): InboxBatch {
    let count = 0
    let size = 0
    for (const entry of this.#entries) {
      if (count > 0 && size + sizeOf(entry) > maxSize) break
      count++
      size += sizeOf(entry)
    }
    const entries = this.#entries.splice(0, count)
    this.#size -= size
    const bodies = entries.map(({ body }) => body).filter((body) => body !== undefined)
    const bytes = Buffer.from(formatNumbered(firstSeq, bodies, offset))
    return { entries, lines: bodies.length, bytes, written: 0 }
  }

  /**
   * Takes back the lines of a batch that are not whole in the file; they will be numbered again.
   * @returns the entries that are in the file, and how many lines they are
   */
  giveBack(batch: InboxBatch): { entries: readonly QueuedLine[]; lines: number } {
    const lines = countNewlines(batch.bytes.subarray(0, batch.written))
    let left = lines
    const cut = batch.entries.findIndex(({ body }) => body !== undefined && left-- === 0)
    const count = cut < 0 ? batch.entries.length : cut
    this.unshift(...batch.entries.slice(count))
    return { entries: batch.entries.slice(0, count), lines }
  }
}

function sizeOf(entry: QueuedLine): number {
  return entry.body?.length ?? 0
}

function countNewlines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++
  return count
}

/** The open inbox.jsonl. */
class InboxFile {
  readonly fd: number
  readonly #path: string
  readonly #device: number
  readonly #inode: number
  #bytes: number

  private constructor(path: string, fd: number) {
    this.#path = path
    this.fd = fd
    const { dev, ino, size } = fstatSync(fd)
    this.#device = dev
    this.#inode = ino
    this.#bytes = size
  }

  /** Opens the file, or creates it with mode 0600. */
  static open(path: string): InboxFile {
    const isNew = lstatSync(path, { throwIfNoEntry: false }) === undefined
    const fd = openPlain(path, openFlags)
    if (isNew) syncDirectory(dirname(path))
    return new InboxFile(path, fd)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Compares the file at the path with this one, by inode and size. */
  check(): FileState {
    const found = lstatSync(this.#path, { throwIfNoEntry: false })
    if (found?.ino !== this.#inode || found.dev !== this.#device) return "gone"
    if (found.size === this.#bytes) return "ours"
    this.#bytes = found.size
    return "changed"
  }

  /** Appends the rest of a batch and records the progress in `batch.written`, also when it throws. */
  append(batch: InboxBatch): void {
    while (batch.written < batch.bytes.length) {
      const count = writeSync(this.fd, batch.bytes, batch.written)
      batch.written += count
      this.#bytes += count
    }
  }

  truncate(): void {
    ftruncateSync(this.fd, 0)
    this.#bytes = 0
  }

  close(): void {
    closeSync(this.fd)
  }
}
