import { hash } from "node:crypto"
import { closeSync, readSync } from "node:fs"
import { ChatError } from "../../../protocol/errors.js"
import { type LineSink, LineSplitter } from "../../files/line-splitter.js"
import type { OutboxLimits } from "../limits.js"
import { type OutboxFrame, readOutboxLine } from "../line.js"
import { type LineOwner, LineQueue, QueuedLine, SendableLine } from "../line-queue.js"
import { type GenerationMark, markGeneration } from "./generation.js"

/** A line that cannot be sent, with its bytes unless it was too large to keep them. */
export interface RefusedLine {
  readonly line: QueuedLine
  readonly error: ChatError
  readonly bytes: Buffer | undefined
}

/** What a file tells its outbox. */
export interface FileEvents {
  onRefused(file: OutboxFile, refused: RefusedLine): void
  onSettled(): void
}

/** What an inode is known by while it exists. */
export interface Inode {
  readonly dev: bigint
  readonly ino: bigint
}

/** Whether both are the same file, whatever its names. */
export function isSame(a: Inode, b: Inode): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/** Why a read ended: nothing more is written, more may be, there is no room, or other bytes stand there now. */
export type ReadEnd = "end" | "more" | "full" | "replaced"

const carriageReturn = 0x0d
const space = 0x20
/** A frame may be this much larger than its line: a type and an id are added. */
const frameExtraBytes = 256

/** The lines of one generation of the outbox, read through one open file for as long as anybody may append. */
export class OutboxFile implements LineOwner, LineSink {
  readonly generation: string
  readonly inode: Inode
  readonly fd: number
  /** Whether `outbox.taken/GENERATION.jsonl` is a name of this inode. */
  isNamed: boolean
  /** Monotonic milliseconds of the last new byte. */
  changedMs: number
  readonly #limits: OutboxLimits
  readonly #events: FileEvents
  readonly #queue = new LineQueue()
  readonly #splitter: LineSplitter
  #isAtEnd = false
  /** Lines that a saved cursor has passed, and that the next one will have passed. */
  #savedLines = 0
  #markedLines = 0
  #isSaved: boolean
  #isLost = false
  #ownsFile = true

  /** @param start - offset of the first line that is not settled; `isSaved` when the cursor file says so */
  constructor(
    place: {
      generation: string
      inode: Inode
      fd: number
      start: number
      isNamed: boolean
      isSaved: boolean
    },
    limits: OutboxLimits,
    nowMs: number,
    events: FileEvents,
  ) {
    this.generation = place.generation
    this.inode = place.inode
    this.fd = place.fd
    this.isNamed = place.isNamed
    this.#isSaved = place.isSaved
    this.changedMs = nowMs
    this.#limits = limits
    this.#events = events
    const readAt = (buffer: Uint8Array, position: number) =>
      readSync(place.fd, buffer, 0, buffer.length, position)
    this.#splitter = new LineSplitter(readAt, place.start, limits.lineBytes)
  }

  /** Whether a restart would find this generation again. Until then its lines must not be sent. */
  get isRecorded(): boolean {
    return this.isNamed || this.#isSaved
  }

  /** Lines that were handed out, and that a crash now would hand out again. */
  get outstanding(): number {
    return this.#queue.handed - this.#savedLines
  }

  /** Known lines that are not settled. */
  get unsettled(): number {
    return this.#queue.unsettled
  }

  /** Offset up to which the file was looked at. */
  get scanned(): number {
    return this.#splitter.scanned
  }

  get hasPartialLine(): boolean {
    return this.#splitter.lineStart < this.#splitter.scanned
  }

  /** Whether lines wait for a taker. */
  get isReady(): boolean {
    return this.#queue.readyBytes > 0
  }

  /** Other bytes stand where these lines stood; what was read of them is all there is. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Whether nothing that stood there at the last look is left to be read or taken. */
  get isDrained(): boolean {
    return !this.isReady && (this.#isLost || this.#isAtEnd)
  }

  /** See {@link LineQueue.take}. */
  take(mayBeNew: boolean): SendableLine | undefined {
    return this.#queue.take(mayBeNew)
  }

  release(): void {
    this.#queue.release()
  }

  /** Reads lines that were appended since. */
  read(nowMs: number): ReadEnd {
    if (this.#isLost || !this.isRecorded) return "end"
    const from = this.#splitter.scanned
    for (;;) {
      const step = this.#splitter.step(this)
      if (this.#splitter.scanned !== from) this.changedMs = nowMs
      if (step === "replaced") this.#isLost = true
      this.#isAtEnd = step === "end"
      if (step !== "more" || this.#splitter.scanned - from >= this.#limits.turnBytes) return step
    }
  }

  bodyOf(line: SendableLine): Buffer {
    const bytes = withoutReturn(this.bytesBetween(line.start, line.end))
    // Other bytes may stand there by now.
    return hash("sha256", bytes, "hex") === line.sha256 ? bytes : Buffer.from(JSON.stringify(line.frame))
  }

  /** Nobody will ever end the last line: refuses it. */
  refusePartialLine(): void {
    const { start, end } = this.#splitter.cut()
    const hint = "append the whole line again, with a newline at its end"
    const error = new ChatError("INVALID_MSG", "the line has no newline, and nobody has the file open", {
      hint,
    })
    const bytes = end - start > this.#limits.lineBytes ? undefined : this.bytesBetween(start, end)
    this.#refuse(start, end, error, bytes)
  }

  bytesBetween(start: number, end: number): Buffer {
    const bytes = Buffer.alloc(end - start)
    return bytes.subarray(0, readSync(this.fd, bytes, 0, bytes.length, start))
  }

  /** Progress to be saved. @throws what the file system refuses */
  mark(): GenerationMark {
    this.#markedLines = this.#queue.passed
    const offset = this.#queue.first?.start ?? this.#splitter.lineStart
    return markGeneration(this.generation, this.fd, offset)
  }

  /** The last {@link mark} is on disk. */
  onSaved(): void {
    this.#savedLines = this.#markedLines
    this.#isSaved = true
  }

  /** Hands the open file over to the next generation of this inode. */
  giveFile(): number {
    this.#ownsFile = false
    return this.fd
  }

  close(): void {
    if (this.#ownsFile) closeSync(this.fd)
  }

  onSettled(): void {
    this.#queue.onSettled()
    this.#events.onSettled()
  }

  hasRoom(): boolean {
    return (
      this.#queue.length < this.#limits.windowLines && this.#queue.readyBytes < this.#limits.readAheadBytes
    )
  }

  onLine(line: Buffer, start: number, end: number): void {
    const content = withoutReturn(line)
    if (isBlank(content)) return
    const result = readOutboxLine(content)
    if ("bad" in result) {
      this.#refuse(start, end, result.bad.error, Buffer.from(content), result.bad.id)
      return
    }
    const id = result.frame.id ?? this.#at(start)
    const tooLarge = this.#frameFault(result.frame, id, content.length)
    if (tooLarge !== undefined) {
      this.#refuse(start, end, tooLarge, Buffer.from(content), id)
      return
    }
    const place = { at: this.#at(start), id, start, end }
    this.#queue.push(new SendableLine(this, place, hash("sha256", content, "hex"), result.frame))
  }

  onOversize(start: number, end: number): void {
    this.#refuse(start, end, tooLarge(`the line has ${end - start} bytes`, this.#limits.lineBytes), undefined)
  }

  #frameFault(frame: OutboxFrame, id: string, lineBytes: number): ChatError | undefined {
    if (lineBytes + frameExtraBytes <= this.#limits.lineBytes) return undefined
    const frameBytes = Buffer.byteLength(JSON.stringify({ ...frame, id }))
    if (frameBytes <= this.#limits.lineBytes) return undefined
    return tooLarge(`its frame has ${frameBytes} bytes`, this.#limits.lineBytes)
  }

  #refuse(start: number, end: number, error: ChatError, bytes: Buffer | undefined, id?: string): void {
    const at = this.#at(start)
    const line = new QueuedLine(this, { at, id: id ?? at, start, end })
    this.#queue.push(line)
    this.#events.onRefused(this, { line, error, bytes })
  }

  #at(start: number): string {
    return `${this.generation}.${start.toString(36)}`
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === space || byte === 0x09 || byte === carriageReturn)
}

function tooLarge(what: string, limit: number): ChatError {
  const hint = "send it in parts, or put it in a file and send its name"
  return new ChatError("INVALID_MSG", `${what}, a message at most ${limit}`, { hint })
}
