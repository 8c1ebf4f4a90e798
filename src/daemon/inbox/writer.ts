import { mkdirSync } from "node:fs"
import { basename } from "node:path"
import { type CommitEvents, InboxCommit } from "./group-commit.js"
import { type Finding, InboxFile } from "./inbox-file.js"
import { formatBody, type InboxLine } from "./line.js"
import { type InboxBatch, InboxQueue, type QueuedLine } from "./queue.js"
import type { InboxPaths, Recovered } from "./recovery.js"
import type { Fill } from "./rotation-policy.js"
import { wholeBytesOf } from "./scan.js"
import { sealSegment } from "./seal.js"
import { formatSegmentName } from "./segment.js"

// One write call: large enough to be cheap, small enough not to stop the process for long.
const batchSize = 1024 * 1024

/**
 * The inbox file, the lines that wait for it, and the numbers they get. Does each step when told to
 * and knows nothing of time or of what may be done when. Every method throws the system's errors.
 */
export class InboxWriter {
  readonly #paths: InboxPaths
  readonly #queue = new InboxQueue()
  readonly #commit: InboxCommit
  #file: InboxFile | undefined
  /** What is on its way into the file; kept while the file may not grow or the disk refuses. */
  #batch: InboxBatch | undefined
  #lines = 0
  #firstSeq = 1
  #lastSeq = 0

  constructor(paths: InboxPaths, events: CommitEvents) {
    this.#paths = paths
    this.#commit = new InboxCommit(events)
  }

  get lastSeq(): number {
    return this.#lastSeq
  }

  get fill(): Fill {
    return { lines: this.#lines, bytes: this.#file?.bytes ?? 0 }
  }

  /** Whether anything waits to be written. */
  get hasWork(): boolean {
    return this.#batch !== undefined || !this.#queue.isEmpty
  }

  /** Whether a batch was prepared and is not written yet. */
  get hasBatch(): boolean {
    return this.#batch !== undefined
  }

  /** About how many bytes wait. */
  get heldBytes(): number {
    const batch = this.#batch
    return this.#queue.size + (batch === undefined ? 0 : batch.bytes.length - batch.written)
  }

  /** Lines that are written and not known to be safe. */
  get unsafeLines(): number {
    return this.#commit.waiting
  }

  /** What stands in the file now counts. Numbers never go back. */
  adopt(found: Recovered): void {
    this.#lines = found.lines
    this.#lastSeq = Math.max(this.#lastSeq, found.lastSeq)
    this.#firstSeq = found.lines > 0 ? found.firstSeq : this.#lastSeq + 1
  }

  push(entry: QueuedLine): void {
    this.#queue.push(entry)
  }

  /** Queues the line that tells readers where the lines before it went. */
  announceRotation(segmentName: string, ts: number): void {
    this.#announce({ type: "INBOX_ROTATED", segment: `${basename(this.#paths.segments)}/${segmentName}`, ts })
  }

  /** Queues the line that tells readers of a file that was cut by somebody else. */
  announceCut(ts: number): void {
    const message = `inbox.jsonl was cut by another program; lines up to seq ${this.#lastSeq} may be gone from it`
    this.#announce({ type: "NOTICE", code: "FILE_FAILED", message, ts })
  }

  /** Whether the file is what was left there. If it is not, a batch that was begun is queued again. */
  check(): Finding {
    this.#file ??= this.#open()
    const finding = this.#file.inspect()
    if (finding !== "ours") this.requeue()
    return finding
  }

  /** Makes the next batch ready. @returns what the file will have in bytes once it is written */
  prepare(): number {
    this.#batch ??= this.#queue.take(this.#lastSeq + 1, this.fill.bytes, batchSize)
    return this.fill.bytes + this.#batch.bytes.length - this.#batch.written
  }

  /** Writes the prepared batch, or the rest of it. What a full disk took is not written again. */
  write(): void {
    const batch = this.#batch
    if (batch === undefined || this.#file === undefined) return
    this.#file.append(batch)
    this.#batch = undefined
    this.#count(batch.entries, batch.lines)
  }

  /** Gives up a batch that was begun: its whole lines count, the others are queued again. */
  requeue(): void {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    const { entries, lines } = this.#queue.giveBack(batch)
    this.#count(entries, lines)
  }

  /**
   * Copies the whole lines of the file into a segment and makes them safe. The file must not be
   * appended to until {@link empty}.
   * @returns the name of the segment; undefined when there is no whole line
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

  /** Empties the file in place; a file that is gone from its path is let go. @returns whether it was there */
  empty(): boolean {
    if (this.#file?.inspect() === "gone") {
      this.drop()
      return false
    }
    this.#file?.clear()
    this.#restart()
    return true
  }

  /** Lets go of the file; {@link check} opens the next one. Only after {@link seal} was tried. */
  drop(): void {
    this.#commit.settle()
    this.#file?.close()
    this.#file = undefined
    this.#restart()
  }

  /** Waits for the disk and closes the file. */
  async close(): Promise<void> {
    await this.#commit.idle()
    this.#file?.close()
    this.#file = undefined
  }

  #announce(line: InboxLine): void {
    this.#queue.unshift({ body: formatBody(line), msgId: undefined, mark: undefined })
  }

  #open(): InboxFile {
    mkdirSync(this.#paths.dir, { recursive: true, mode: 0o700 })
    return InboxFile.open(this.#paths.inbox)
  }

  #restart(): void {
    this.#lines = 0
    this.#firstSeq = this.#lastSeq + 1
  }

  #count(entries: readonly QueuedLine[], lines: number): void {
    let seq = this.#lastSeq
    for (const entry of entries) if (entry.body !== undefined) entry.seq = ++seq
    this.#lines += lines
    this.#lastSeq += lines
    if (this.#file !== undefined) this.#commit.add(this.#file.fd, entries, lines > 0)
  }
}
