/** Fills `buffer` with the bytes from `position` on; returns their number, 0 at the end. */
export type ReadAt = (buffer: Uint8Array, position: number) => number

/** Receives lines in order, each with the offsets of its first byte and of its newline. Must not call the splitter. */
export interface LineSink {
  /** @param line - the bytes without the newline; valid only during the call */
  onLine(line: Buffer, start: number, end: number): void
  /** Receives a line longer than the limit; its bytes were not kept. */
  onOversize(start: number, end: number): void
  /** Reports whether the sink takes another line; called after each. */
  hasRoom(): boolean
}

/**
 * The reason a step ended: the file ends here; there may be more; the sink is full; or the bytes before this
 * position changed, so the file was emptied and refilled.
 */
export type SplitEnd = "end" | "more" | "full" | "replaced"

const newline = 0x0a
const chunkBytes = 64 * 1024
const contextBytes = 64

// Reads are synchronous, so all splitters of the process share one buffer.
const shared = Buffer.allocUnsafeSlow(contextBytes + chunkBytes)

/**
 * Splits a growing file into lines. A line that is not complete yet stays in the file, not in memory.
 *
 * ```
 *        lineStart          scanned
 * … \n ↓ partial line … ↓ not read yet …
 *                   └─ context: the bytes before `scanned`; they change when the file is emptied and refilled
 * ```
 */
export class LineSplitter {
  readonly #readAt: ReadAt
  readonly #maxLineBytes: number
  #lineStart: number
  #scanned: number
  #context: Buffer

  /** @param start - first byte of a line */
  constructor(readAt: ReadAt, start: number, maxLineBytes: number) {
    this.#readAt = readAt
    this.#maxLineBytes = maxLineBytes
    this.#lineStart = start
    this.#scanned = start
    this.#context = Buffer.alloc(Math.min(start, contextBytes))
    readAt(this.#context, start - this.#context.length)
  }

  /** Offset of the first byte of the line that is not complete, or not passed on yet. */
  get lineStart(): number {
    return this.#lineStart
  }

  /** Offset of the first byte not read yet. */
  get scanned(): number {
    return this.#scanned
  }

  /** Ends the incomplete line where the file ends now. */
  cut(): { start: number; end: number } {
    const line = { start: this.#lineStart, end: this.#scanned }
    this.#lineStart = this.#scanned
    return line
  }

  /** Reads up to 64 KiB more. */
  step(sink: LineSink): SplitEnd {
    if (!sink.hasRoom()) return "full"
    const context = this.#context.length
    const base = this.#scanned - context
    const read = this.#readAt(shared, base)
    if (!shared.subarray(0, Math.min(read, context)).equals(this.#context)) return "replaced"
    const bytes = shared.subarray(0, read)
    const ended = this.#passOn(bytes, base, context, sink)
    if (ended === undefined) return "replaced"
    this.#scanned = base + ended
    this.#context = Buffer.from(bytes.subarray(Math.max(0, ended - contextBytes), ended))
    if (ended < read) return "full"
    return read < shared.length ? "end" : "more"
  }

  /** Returns the index in `bytes` up to which lines were passed on; undefined if the file changed meanwhile. */
  #passOn(bytes: Buffer, base: number, from: number, sink: LineSink): number | undefined {
    this.#skipNuls(bytes, base, from)
    let index = bytes.indexOf(newline, from)
    while (index >= 0) {
      const end = base + index
      if (end - this.#lineStart > this.#maxLineBytes) sink.onOversize(this.#lineStart, end)
      else {
        const line = this.#lineUpTo(bytes, base, from, end)
        if (line === undefined) return undefined
        sink.onLine(line, this.#lineStart, end)
      }
      this.#lineStart = end + 1
      this.#skipNuls(bytes, base, from)
      if (!sink.hasRoom()) return index + 1
      index = bytes.indexOf(newline, index + 1)
    }
    return bytes.length
  }

  /** Skips NULs before a line: a hole, or the second half of a newline in UTF-16. */
  #skipNuls(bytes: Buffer, base: number, from: number): void {
    if (this.#lineStart < base + from) return
    while (bytes[this.#lineStart - base] === 0) this.#lineStart++
  }

  #lineUpTo(bytes: Buffer, base: number, from: number, end: number): Buffer | undefined {
    const head = base + from - this.#lineStart
    if (head <= 0) return bytes.subarray(this.#lineStart - base, end - base)
    const line = Buffer.allocUnsafe(end - this.#lineStart)
    bytes.copy(line, head, from, end - base)
    // Not into the shared buffer: it still holds `bytes`.
    return this.#readAt(line.subarray(0, head), this.#lineStart) === head ? line : undefined
  }
}
