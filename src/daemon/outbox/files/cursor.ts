import { hash } from "node:crypto"
import { type BigIntStats, fstatSync, readSync } from "node:fs"
import type { Clock, Timer } from "../../../base/clock.js"
import { readIfExists, writeFileAtomic } from "../../../base/files.js"
import { type FileProblems, isFileError } from "../../files/file-problems.js"
import { isGeneration } from "./taken-directory.js"

/** Progress in one generation: an entry of the cursor file. */
export interface GenerationMark {
  readonly generation: string
  /** Inode number and time of birth, decimal. */
  readonly ino: string
  readonly birth_ns: string
  /** Offset of the first byte that is not settled. */
  readonly offset: number
  /** SHA-256 of the up to 4 KiB before `offset`, in hex. */
  readonly tail_sha256: string
  /** False if no link of this generation could be made; another one may have been left behind. */
  readonly linked?: false
}

const tailBytes = 4096

/** Takes the mark of an open file. @throws the system error */
export function markGeneration(generation: string, fd: number, offset: number): GenerationMark {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true })
  return {
    generation,
    ino: String(ino),
    birth_ns: String(birthtimeNs),
    offset,
    tail_sha256: hashTail(fd, offset),
  }
}

/** Reports whether an open file still holds the lines settled under `mark`: it was neither emptied nor rewritten. */
export function holdsMark(fd: number, mark: GenerationMark): boolean {
  return fstatSync(fd).size >= mark.offset && hashTail(fd, mark.offset) === mark.tail_sha256
}

/** Reports whether `stats` and `mark` are of the same file, not of a later one with the same inode number. */
export function isInodeOf(stats: BigIntStats, mark: GenerationMark): boolean {
  return String(stats.ino) === mark.ino && String(stats.birthtimeNs) === mark.birth_ns
}

function hashTail(fd: number, offset: number): string {
  const tail = Buffer.alloc(Math.min(offset, tailBytes))
  const read = readSync(fd, tail, 0, tail.length, offset - tail.length)
  return hash("sha256", tail.subarray(0, read), "hex")
}

/** Options of an {@link OutboxCursor}. */
export interface CursorOptions {
  readonly path: string
  readonly clock: Clock
  /** Milliseconds within which progress is saved. */
  readonly saveMs: number
  /** Settled lines after which progress is saved at the end of the turn. */
  readonly urgentLines: number
  /** Takes the marks of all files. @throws the system error */
  readonly takeMarks: () => GenerationMark[]
  /** Called when the marks are on disk. */
  readonly onSaved: () => void
}

/** outbox.cursor.json: how far each file of the outbox is settled. Written soon after progress, never while idle. */
export class OutboxCursor {
  readonly #options: CursorOptions
  readonly #problems: FileProblems
  #timer: Timer | undefined
  #immediate: NodeJS.Immediate | undefined
  #unsavedLines = 0
  #isDirty = false
  /** After a failed write only {@link save} tries again. */
  #hasFailed = false
  #isClosed = false

  constructor(options: CursorOptions, problems: FileProblems) {
    this.#options = options
    this.#problems = problems
  }

  /** Returns the saved marks by generation; none if the file is missing or damaged. */
  load(): Map<string, GenerationMark> {
    let text: string
    try {
      text = readIfExists(this.#options.path) ?? ""
    } catch (error) {
      if (isFileError(error)) return new Map()
      throw error
    }
    return new Map(parseMarks(text).map((mark) => [mark.generation, mark]))
  }

  /** Counts a settled line and schedules a save. */
  onSettled(): void {
    this.#unsavedLines++
    this.touch()
    if (this.#unsavedLines < this.#options.urgentLines || this.#hasFailed || this.#isClosed) return
    // Not at once, because the acks of these lines must be on disk first.
    this.#immediate ??= setImmediate(() => this.save())
  }

  /** Schedules a save within `saveMs`. */
  touch(): void {
    this.#isDirty = true
    if (this.#hasFailed || this.#isClosed) return
    const { clock, saveMs } = this.#options
    this.#timer ??= clock.setTimer(() => this.save(), saveMs, { unref: true })
  }

  /** Writes the file if there was progress. */
  save(): void {
    this.#cancel()
    if (!this.#isDirty) return
    const { path, takeMarks, onSaved } = this.#options
    const isWritten = this.#problems.attempt("outbox.cursor.json", "written", () => {
      writeFileAtomic(path, `${JSON.stringify({ v: 1, files: takeMarks() })}\n`)
    })
    this.#hasFailed = !isWritten
    if (!isWritten) return
    this.#isDirty = false
    this.#unsavedLines = 0
    onSaved()
  }

  /** Cancels the scheduled save and schedules no more. */
  close(): void {
    this.#isClosed = true
    this.#cancel()
  }

  #cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    clearImmediate(this.#immediate)
    this.#immediate = undefined
  }
}

function parseMarks(text: string): GenerationMark[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return []
  }
  const files = (value as { files?: unknown } | null)?.files
  return Array.isArray(files) ? files.filter(isMark) : []
}

function isMark(value: unknown): value is GenerationMark {
  const mark = value as Partial<Record<keyof GenerationMark, unknown>> | null
  return (
    typeof mark?.generation === "string" &&
    isGeneration(mark.generation) &&
    Number.isSafeInteger(mark.offset) &&
    Number(mark.offset) >= 0 &&
    [mark.ino, mark.birth_ns, mark.tail_sha256].every((text) => typeof text === "string")
  )
}
