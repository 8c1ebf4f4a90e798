import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import { syncDirectory } from "../../base/atomic-file.js"
import { isFileError } from "../outbox/problems.js"

const newline = 0x0a
const searchBytes = 64 * 1024

/**
 * A file of lines that only this process appends to. An append is all or nothing, also over a crash: the
 * piece of a line that a crash or a full disk left behind is taken away before the next one.
 */
export class LineLog {
  readonly #path: string
  readonly #older: { path: string; atBytes: number } | undefined
  readonly #isDurable: boolean
  #mayBeTorn = true

  /**
   * @param older - where the file goes once it has `atBytes`; without it, it grows for ever
   * @param isDurable - whether what was appended also survives a power cut
   */
  constructor(path: string, older?: { path: string; atBytes: number }, isDurable = false) {
    this.#path = path
    this.#older = older
    this.#isDurable = isDurable
  }

  /**
   * Appends whole lines, each with its newline.
   * @throws what the file system refuses; then nothing was appended
   */
  append(lines: string): void {
    let fd = this.#open()
    try {
      const { size } = fstatSync(fd)
      if (this.#older !== undefined && size >= this.#older.atBytes) {
        renameSync(this.#path, this.#older.path)
        closeSync(fd)
        fd = -1
        fd = this.#open()
      }
      this.#write(fd, Buffer.from(lines))
    } finally {
      if (fd >= 0) closeSync(fd)
    }
  }

  /** The newest whole lines, oldest first: those of the last `maxBytes`. */
  readNewest(maxBytes: number): string[] {
    const { lines, bytes } = readTail(this.#path, maxBytes)
    if (this.#older === undefined) return lines
    return [...readTail(this.#older.path, maxBytes - bytes).lines, ...lines]
  }

  #open(): number {
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants
    const fd = openSync(this.#path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600)
    if (this.#mayBeTorn) {
      try {
        dropTornLine(fd)
        if (this.#isDurable) syncDirectory(dirname(this.#path))
        this.#mayBeTorn = false
      } catch (error) {
        closeSync(fd)
        throw error
      }
    }
    return fd
  }

  #write(fd: number, bytes: Buffer): void {
    const { size } = fstatSync(fd)
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
      if (this.#isDurable) fsyncSync(fd)
    } catch (error) {
      this.#mayBeTorn = true
      ftruncateSync(fd, size)
      this.#mayBeTorn = false
      throw error
    }
  }
}

/** Takes away what stands after the last newline. */
export function dropTornLine(fd: number): void {
  const { size } = fstatSync(fd)
  const bytes = Buffer.alloc(searchBytes)
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - searchBytes)
    const read = readSync(fd, bytes, 0, end - start, start)
    const last = bytes.subarray(0, read).lastIndexOf(newline)
    const whole = last < 0 ? start : start + last + 1
    if (last >= 0 || start === 0) {
      if (whole < size) ftruncateSync(fd, whole)
      return
    }
    end = start
  }
}

function readTail(path: string, maxBytes: number): { lines: string[]; bytes: number } {
  let fd: number
  try {
    fd = openSync(path, "r")
  } catch (error) {
    if (isFileError(error) && error.code === "ENOENT") return { lines: [], bytes: 0 }
    throw error
  }
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(size, maxBytes))
    const read = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    const lines = bytes.toString("utf8", 0, read).split("\n")
    // What follows the last newline is no line; what stands first may be half of one.
    lines.pop()
    return { lines: bytes.length < size ? lines.slice(1) : lines, bytes: bytes.length }
  } finally {
    closeSync(fd)
  }
}
