import { isUtf8 } from "node:buffer"
import { closeSync, openSync, readSync } from "node:fs"
import { ChatError } from "../../protocol/errors.js"

/** A place between two lines of a file. */
export interface FilePlace {
  /** Of the first byte after it. */
  readonly offset: number
  /** How many lines stand before it. */
  readonly lines: number
}

/** A line of a file, without its newline. */
export interface FileLine {
  /** From 1. */
  readonly number: number
  /** Undefined when it cannot be text: it is not UTF-8, or longer than {@link maxLineBytes}. */
  readonly text: string | undefined
  /** False for a last line without a newline: whoever writes it may not be done. */
  readonly isWhole: boolean
  /** The place after it. */
  readonly after: FilePlace
}

/** A path, or the descriptor of an open file, which stays open. */
export type ReadableFile = string | number

const chunkBytes = 1024 * 1024
/** More than the largest receipt; a longer line is passed over without keeping it. */
const maxLineBytes = 1024 * 1024
const newline = 0x0a

/**
 * The lines of a file of any size, read a chunk at a time.
 * @param from - the start, unless told
 * @throws {ChatError} NOT_FOUND when there is no such file, FILE_FAILED when it cannot be read
 */
export function* readFileLines(
  file: ReadableFile,
  from: FilePlace = { offset: 0, lines: 0 },
): Generator<FileLine, void, undefined> {
  let { offset, lines } = from
  let started: Buffer[] = []
  let startedBytes = 0
  const take = (end: Buffer, isWhole: boolean): FileLine => {
    const bytes = startedBytes + end.length
    const text = bytes > maxLineBytes ? undefined : textOf(started, end)
    offset += bytes + (isWhole ? 1 : 0)
    lines += 1
    started = []
    startedBytes = 0
    return { number: lines, text, isWhole, after: { offset, lines } }
  }
  for (const chunk of readFileChunks(file, offset)) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      yield take(chunk.subarray(start, end), true)
      start = end + 1
    }
    const rest = chunk.subarray(start)
    startedBytes += rest.length
    // The chunk's memory is used again.
    if (startedBytes <= maxLineBytes) started.push(Buffer.from(rest))
  }
  if (startedBytes > 0) yield take(Buffer.alloc(0), false)
}

/**
 * The bytes of a file from `from` up to `end`, or to where it ends. A chunk is valid until the next one is asked for.
 * @throws {ChatError} as {@link readFileLines}
 */
export function* readFileChunks(
  file: ReadableFile,
  from: number,
  end = Number.POSITIVE_INFINITY,
): Generator<Buffer, void, undefined> {
  const fd = typeof file === "number" ? file : attempt(file, () => openSync(file, "r"))
  try {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, end - from))
    for (let offset = from; offset < end; ) {
      const wanted = Math.min(buffer.length, end - offset)
      const read = attempt(file, () => readSync(fd, buffer, 0, wanted, offset))
      if (read === 0) return
      offset += read
      yield buffer.subarray(0, read)
    }
  } finally {
    if (fd !== file) closeSync(fd)
  }
}

function textOf(started: readonly Buffer[], end: Buffer): string | undefined {
  const bytes = started.length === 0 ? end : Buffer.concat([...started, end])
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined
}

function attempt<T>(file: ReadableFile, act: () => T): T {
  try {
    return act()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const path = typeof file === "number" ? `file ${file}` : file
    if (code === "ENOENT" || code === "ENOTDIR") throw new ChatError("NOT_FOUND", `${path}: no such file`)
    throw new ChatError("FILE_FAILED", `${path}: cannot be read (${String(code)})`, { cause: error })
  }
}
