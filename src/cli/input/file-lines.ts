import { isUtf8 } from "node:buffer"
import { closeSync, openSync, readSync } from "node:fs"
import { isMissing } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"

/** A position between two lines of a file. */
export interface FilePosition {
  /** Offset of the first byte after it. */
  readonly offset: number
  /** Number of lines before it. */
  readonly lines: number
}

/** A line of a file, without its newline. */
export interface FileLine {
  /** Line number, from 1. */
  readonly number: number
  /** Undefined if it is not UTF-8, or longer than {@link maxLineBytes}. */
  readonly text: string | undefined
  /** False for a last line without a newline, which may still be being written. */
  readonly isWhole: boolean
  /** The position after it. */
  readonly after: FilePosition
}

/** A path, or the descriptor of an open file. The descriptor is not closed. */
export type ReadableFile = string | number

const chunkBytes = 1024 * 1024
/** More than the largest receipt. A longer line is skipped without holding it in memory. */
const maxLineBytes = 1024 * 1024
const newline = 0x0a

/**
 * Reads the lines of a file of any size, chunk by chunk.
 * @param from - start position (default: the start of the file)
 * @throws {ChatError} NOT_FOUND if the file does not exist; FILE_FAILED if it cannot be read
 */
export function* readFileLines(
  file: ReadableFile,
  from: FilePosition = { offset: 0, lines: 0 },
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
    // Copy the rest, because the next chunk overwrites the buffer.
    if (startedBytes <= maxLineBytes) started.push(Buffer.from(rest))
  }
  if (startedBytes > 0) yield take(Buffer.alloc(0), false)
}

/**
 * Reads the bytes of a file from `from` to `end`, or to its end. A chunk is valid only until the next one is requested.
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
    if (isMissing(error)) throw new ChatError("NOT_FOUND", `${path}: no such file`)
    throw new ChatError("FILE_FAILED", `${path}: cannot be read (${String(code)})`, { cause: error })
  }
}
