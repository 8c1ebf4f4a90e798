/** Fills `buffer` with the bytes from `position` on; returns how many there were, 0 at the end. */
export type ReadAt = (buffer: Uint8Array, position: number) => number

/** Receives lines in order, each with the place of its first byte and of its newline. Must not read meanwhile. */
export interface LineSink {
  /** @param line - the bytes without the newline; valid during the call only */
  onLine(line: Buffer, start: number, end: number): void
  /** A whole line larger than the bound; its bytes were not kept. */
  onOversize(start: number, end: number): void
  /** Asked after each line: whether another one may come. */
  hasRoom(): boolean
}

/**
 * Where a step ended: at the end of what is written, where there may be more, at a line the sink had no
 * room for, or before bytes that are not those that stood there before.
 */
export type SplitStep = "end" | "more" | "full" | "replaced"

const newline = 0x0a
const chunkBytes = 64 * 1024
const guardBytes = 64

// Reading is synchronous, so one buffer serves every splitter of the process.
const shared = Buffer.allocUnsafeSlow(guardBytes + chunkBytes)

/**
 * Splits a growing file into lines. Holds no bytes of a line that is not whole yet: the file does.
 *
 * ```
 *        lineStart          scanned
 * … \n ↓ partial line … ↓ not looked at yet …
 *                   └─ guard: the bytes before `scanned`, to notice a file that was emptied and refilled
 * ```
 */
export class LineSplitter {
  readonly #readAt: ReadAt
  readonly #maxLineBytes: number
  #lineStart: number
  #scanned: number
  #guard: Buffer

  /** @param start - first byte of a line */
  constructor(readAt: ReadAt, start: number, maxLineBytes: number) {
    this.#readAt = readAt
    this.#maxLineBytes = maxLineBytes
    this.#lineStart = start
    this.#scanned = start
    this.#guard = Buffer.alloc(Math.min(start, guardBytes))
    readAt(this.#guard, start - this.#guard.length)
  }

  /** First byte of the line that is not whole yet, or was not handed on yet. */
  get lineStart(): number {
    return this.#lineStart
  }

  /** First byte not looked at yet. */
  get scanned(): number {
    return this.#scanned
  }

  /** Gives up waiting for the newline of the line that is not whole; it ends where the file ends now. */
  cut(): { start: number; end: number } {
    const line = { start: this.#lineStart, end: this.#scanned }
    this.#lineStart = this.#scanned
    return line
  }

  /** Looks at up to 64 KiB more. */
  step(sink: LineSink): SplitStep {
    if (!sink.hasRoom()) return "full"
    const guarded = this.#guard.length
    const base = this.#scanned - guarded
    const read = this.#readAt(shared, base)
    const known = shared.subarray(0, Math.min(read, guarded))
    if (!known.equals(this.#guard)) return "replaced"
    const bytes = shared.subarray(0, read)
    const ended = this.#handOn(bytes, base, guarded, sink)
    if (ended === undefined) return "replaced"
    this.#scanned = base + ended
    this.#guard = Buffer.from(bytes.subarray(Math.max(0, ended - guardBytes), ended))
    if (ended < read) return "full"
    return read < shared.length ? "end" : "more"
  }

  /** Returns the index in `bytes` up to which lines were looked at; undefined if the file changed meanwhile. */
  #handOn(bytes: Buffer, base: number, from: number, sink: LineSink): number | undefined {
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
      if (!sink.hasRoom()) return index + 1
      index = bytes.indexOf(newline, index + 1)
    }
    return bytes.length
  }

  #lineUpTo(bytes: Buffer, base: number, from: number, end: number): Buffer | undefined {
    const head = base + from - this.#lineStart
    if (head <= 0) return bytes.subarray(this.#lineStart - base, end - base)
    const line = Buffer.allocUnsafe(end - this.#lineStart)
    bytes.copy(line, head, from, end - base)
    // Into its own memory: `bytes` is still needed.
    return this.#readAt(line.subarray(0, head), this.#lineStart) === head ? line : undefined
  }
}
