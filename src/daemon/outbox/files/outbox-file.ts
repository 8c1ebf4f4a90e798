import { hash } from "node:crypto"
import { closeSync, fstatSync, readSync } from "node:fs"
import { ChatError } from "../../../protocol/errors.js"
import { type LineSink, LineSplitter, type SplitEnd } from "../../files/line-splitter.js"
import type { OutboxLimits } from "../limits.js"
import { findJoint, type OutboxFrame, readOutboxLine } from "../line.js"
import { LineQueue, type LineSource, QueuedLine, SendableLine } from "../line-queue.js"
import type { RejectedLines } from "../rejected.js"
import { type GenerationMark, markGeneration, type OutboxCursor } from "./cursor.js"
import type { Inode } from "./taken-directory.js"

/** Options of an {@link OutboxFile}. */
export interface FileOptions {
  readonly generation: string
  readonly inode: Inode
  readonly fd: number
  /** Offset of the first line that is not settled. */
  readonly start: number
  /** True if `outbox.taken/GENERATION.jsonl` is a link to this file. */
  readonly isLinked: boolean
  /** True if the cursor file has a mark of this generation. */
  readonly isSaved: boolean
}

const carriageReturn = 0x0d
const tab = 0x09
const space = 0x20
const placeHashLength = 5
/** Bytes that `type` and `id` may add to a line when it becomes a frame. */
const frameExtraBytes = 256

/** The lines of one generation of the outbox, read through one open file for as long as anybody may append. */
export class OutboxFile implements LineSource, LineSink {
  readonly generation: string
  readonly inode: Inode
  readonly fd: number
  /** See {@link FileOptions.isLinked}. */
  isLinked: boolean
  /** Monotonic milliseconds of the last new byte. */
  changedMs: number
  readonly #limits: OutboxLimits
  readonly #rejected: RejectedLines
  readonly #cursor: OutboxCursor
  readonly #queue = new LineQueue()
  readonly #splitter: LineSplitter
  #isAtEnd = false
  /** Lines passed by the saved cursor, and by the mark that is being saved. */
  #savedLines = 0
  #markedLines = 0
  #isSaved: boolean
  /** Only the cursor file records another start. */
  readonly #startsAtTop: boolean
  #isReplaced = false
  #ownsFile = true

  constructor(
    options: FileOptions,
    limits: OutboxLimits,
    nowMs: number,
    rejected: RejectedLines,
    cursor: OutboxCursor,
  ) {
    const { fd } = options
    this.generation = options.generation
    this.inode = options.inode
    this.fd = fd
    this.isLinked = options.isLinked
    this.#isSaved = options.isSaved
    this.#startsAtTop = options.start === 0
    this.changedMs = nowMs
    this.#limits = limits
    this.#rejected = rejected
    this.#cursor = cursor
    const readAt = (buffer: Uint8Array, position: number) => readSync(fd, buffer, 0, buffer.length, position)
    this.#splitter = new LineSplitter(readAt, options.start, limits.lineBytes)
  }

  /** True if a restart would find this generation again. Until then its lines must not be sent. */
  get isRecorded(): boolean {
    return this.#isSaved || (this.isLinked && this.#startsAtTop)
  }

  /** Number of lines taken that a crash now would hand out again. */
  get outstanding(): number {
    return this.#queue.taken - this.#savedLines
  }

  /** Number of complete lines that are not settled. */
  get unsettled(): number {
    return this.#queue.unsettled
  }

  /** Offset up to which the file was read. */
  get scanned(): number {
    return this.#splitter.scanned
  }

  get hasPartialLine(): boolean {
    return this.#splitter.lineStart < this.#splitter.scanned
  }

  /** The bytes after the last newline that were read. */
  get partialBytes(): { readonly start: number; readonly bytes: number } {
    const { lineStart, scanned } = this.#splitter
    return { start: lineStart, bytes: scanned - lineStart }
  }

  /** Bytes of the file that are not read yet. */
  get unreadBytes(): number {
    return Math.max(0, fstatSync(this.fd).size - this.scanned)
  }

  /** True while lines wait to be taken. */
  get isReady(): boolean {
    return this.#queue.readyBytes > 0
  }

  /** True once the file was emptied and refilled. The lines read before are still sent. */
  get isReplaced(): boolean {
    return this.#isReplaced
  }

  /** True if everything found by the last read was taken. */
  get isDrained(): boolean {
    return !this.isReady && (this.#isReplaced || this.#isAtEnd)
  }

  /** See {@link LineQueue.take}. */
  take(mayBeNew: boolean): SendableLine | undefined {
    return this.#queue.take(mayBeNew)
  }

  release(): void {
    this.#queue.release()
  }

  /** Reads the lines appended since the last call. @throws the system error */
  read(nowMs: number): SplitEnd {
    if (this.#isReplaced || !this.isRecorded) return "end"
    const from = this.#splitter.scanned
    for (;;) {
      const end = this.#splitter.step(this)
      if (this.#splitter.scanned !== from) this.changedMs = nowMs
      if (end === "replaced") this.#isReplaced = true
      this.#isAtEnd = end === "end"
      if (end !== "more" || this.#splitter.scanned - from >= this.#limits.turnBytes) return end
    }
  }

  bodyOf(line: SendableLine): Buffer {
    const bytes = withoutReturn(this.#readBytes(line.start, line.end))
    // The file may have been rewritten since.
    return hash("sha256", bytes, "hex") === line.sha256 ? bytes : Buffer.from(JSON.stringify(line.frame))
  }

  /** Rejects a last line without a newline: no process can complete it. */
  rejectPartialLine(): void {
    const { start, end } = this.#splitter.cut()
    const hint = "append the whole line again, with a newline at its end"
    const message = "the line has no newline, and no process has the file open"
    const error = new ChatError("INVALID_MSG", message, { hint })
    const bytes = end - start > this.#limits.lineBytes ? undefined : this.#readBytes(start, end)
    this.#reject(start, end, error, bytes)
  }

  /** Returns the progress to be saved. @throws the system error */
  mark(): GenerationMark {
    this.#markedLines = this.#queue.passed
    const offset = this.#queue.first?.start ?? this.#splitter.lineStart
    const mark = markGeneration(this.generation, this.fd, offset)
    return this.isLinked ? mark : { ...mark, linked: false }
  }

  /** The last {@link mark} is on disk. */
  onSaved(): void {
    this.#savedLines = this.#markedLines
    this.#isSaved = true
  }

  /** Hands the open file over to the next generation of the same inode. */
  giveFile(): number {
    this.#ownsFile = false
    return this.fd
  }

  close(): void {
    if (this.#ownsFile) closeSync(this.fd)
  }

  onSettled(): void {
    this.#queue.onSettled()
    this.#cursor.onSettled()
  }

  hasRoom(): boolean {
    return (
      this.#queue.length < this.#limits.windowLines && this.#queue.readyBytes < this.#limits.readAheadBytes
    )
  }

  onLine(line: Buffer, start: number, end: number): void {
    const content = withoutReturn(line)
    if (isBlank(content)) return
    const sha256 = hash("sha256", content, "hex")
    const at = this.#placeAt(start, sha256)
    const result = readOutboxLine(content, at)
    if ("bad" in result) {
      const joint = findJoint(content)
      if (joint === undefined) this.#reject(start, end, result.bad.error, Buffer.from(content), result.bad.id)
      else {
        this.onLine(content.subarray(0, joint.end), start, start + joint.end)
        this.onLine(line.subarray(joint.next), start + joint.next, end)
      }
      return
    }
    const id = result.frame.id ?? at
    const error = this.#checkFrameSize(result.frame, id, content.length)
    if (error === undefined)
      this.#queue.push(new SendableLine(this, { at, id, start, end }, sha256, result.frame))
    else this.#reject(start, end, error, Buffer.from(content), id)
  }

  onOversize(start: number, end: number): void {
    this.#reject(start, end, tooLarge(`the line has ${end - start} bytes`, this.#limits.lineBytes), undefined)
  }

  #checkFrameSize(frame: OutboxFrame, id: string, lineBytes: number): ChatError | undefined {
    if (lineBytes + frameExtraBytes <= this.#limits.lineBytes) return undefined
    const frameBytes = Buffer.byteLength(JSON.stringify({ ...frame, id }))
    if (frameBytes <= this.#limits.lineBytes) return undefined
    return tooLarge(`its frame has ${frameBytes} bytes`, this.#limits.lineBytes)
  }

  /** @param bytes - the line; undefined if it is too long for memory */
  #reject(start: number, end: number, error: ChatError, bytes: Buffer | undefined, id?: string): void {
    const sha256 = bytes && hash("sha256", bytes, "hex")
    const at = this.#placeAt(start, sha256)
    const line = new QueuedLine(this, { at, id: id ?? at, start, end })
    this.#queue.push(line)
    if (bytes === undefined || sha256 === undefined) this.#rejected.addOversize(line, error, this.fd)
    else this.#rejected.add(line, { at, id: line.id, sha256, error, body: bytes })
  }

  /**
   * Names a line. Part of its hash keeps lines apart that are at the same place in copies of one directory, or in a
   * directory restored from a backup.
   */
  #placeAt(start: number, sha256: string | undefined): string {
    const place = `${this.generation}.${start.toString(36)}`
    return sha256 === undefined ? place : `${place}.${sha256.slice(0, placeHashLength)}`
  }

  #readBytes(start: number, end: number): Buffer {
    const bytes = Buffer.alloc(end - start)
    return bytes.subarray(0, readSync(this.fd, bytes, 0, bytes.length, start))
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line[line.length - 1] === carriageReturn ? line.subarray(0, -1) : line
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === space || byte === tab || byte === carriageReturn)
}

/** Returns the error of a line or a file that is too large for a message. */
export function tooLarge(what: string, limit: number): ChatError {
  const hint = "send it in parts, or put it in a file and send its name"
  return new ChatError("INVALID_MSG", `${what}, a message at most ${limit}`, { hint })
}
