import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  readSync,
  renameSync,
  statSync,
} from "node:fs"
import { dirname } from "node:path"
import type { Clock } from "../../base/clock.js"
import { appendPlain, openPlain, syncDirectory, withFile, writeAll } from "../../base/files.js"
import { formatLogLine, isLogged, type LogLevel, type LogStyle } from "../../base/log.js"

const newline = 0x0a
const searchBytes = 64 * 1024
const eventLogBytes = 1024 * 1024

/**
 * A file of lines that only this process appends to. An append is all or nothing, even over a crash: the
 * partial line that a crash or a full disk left behind is cut off before the next append.
 */
export class AppendLog {
  readonly #path: string
  readonly #older: { path: string; atBytes: number } | undefined
  readonly #isDurable: boolean
  #mayBeTorn = true

  /**
   * @param older - where the file is moved once it has `atBytes`; without it the file grows without bound
   * @param isDurable - whether an append also survives a power cut
   */
  constructor(path: string, older?: { path: string; atBytes: number }, isDurable = false) {
    this.#path = path
    this.#older = older
    this.#isDurable = isDurable
  }

  /**
   * Appends whole lines, each with its newline.
   * @throws the system error; then nothing was appended
   */
  append(lines: string): void {
    let fd = this.#open()
    try {
      let { size } = fstatSync(fd)
      if (this.#older !== undefined && size >= this.#older.atBytes) {
        renameSync(this.#path, this.#older.path)
        closeSync(fd)
        fd = -1
        fd = this.#open()
        size = fstatSync(fd).size
      }
      this.#write(fd, Buffer.from(lines), size)
    } finally {
      if (fd >= 0) closeSync(fd)
    }
  }

  /** Returns the whole lines among the last `maxBytes`, oldest first. */
  readNewest(maxBytes: number): string[] {
    const { lines, bytes } = readTail(this.#path, maxBytes)
    if (this.#older === undefined) return lines
    return [...readTail(this.#older.path, maxBytes - bytes).lines, ...lines]
  }

  #open(): number {
    const { O_RDWR, O_CREAT, O_APPEND } = constants
    const fd = openPlain(this.#path, O_RDWR | O_CREAT | O_APPEND)
    if (!this.#mayBeTorn) return fd
    try {
      cutTornLine(fd)
      if (this.#isDurable) syncDirectory(dirname(this.#path))
      this.#mayBeTorn = false
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  #write(fd: number, bytes: Buffer, size: number): void {
    try {
      writeAll(fd, bytes)
      if (this.#isDurable) fsyncSync(fd)
    } catch (error) {
      this.#mayBeTorn = true
      ftruncateSync(fd, size)
      this.#mayBeTorn = false
      throw error
    }
  }
}

/**
 * daemon.log and relay.log: one line per event, with its time. A file of 1 MiB is moved to `*.log.1`. Holds no secret,
 * and no message content unless the relay was configured to log it.
 */
export class EventLog {
  readonly #path: string
  readonly #clock: Clock
  readonly #style: LogStyle
  readonly #append: (path: string, text: string) => void
  #bytes: number
  #lost = 0

  /** @param append - the default refuses anything but a plain file */
  constructor(path: string, clock: Clock, style: LogStyle = {}, append = appendPlain) {
    this.#path = path
    this.#clock = clock
    this.#style = style
    this.#append = append
    this.#bytes = sizeOf(path)
  }

  /** Appends one line. A full disk costs the line, never the process; the next line says how many are missing. */
  write(text: string, level: LogLevel = "info"): void {
    if (!isLogged(level, this.#style.level ?? "info")) return
    const format = (each: string) => `${formatLogLine(this.#clock.now(), each, level, this.#style)}\n`
    const note = this.#lost === 0 ? "" : format(`${this.#lost} lines could not be written here`)
    const line = note + format(text)
    try {
      if (this.#bytes > eventLogBytes) this.#bytes = rotateLog(this.#path)
      this.#append(this.#path, line)
      this.#bytes += line.length
      this.#lost = 0
    } catch {
      this.#lost++
      this.#bytes = sizeOf(this.#path)
    }
  }
}

/** Moves a log of 1 MiB to `*.log.1`. @returns the size of what is at the path now @throws the system error */
export function rotateLog(path: string): number {
  const bytes = sizeOf(path)
  if (bytes <= eventLogBytes) return bytes
  renameSync(path, `${path}.1`)
  return 0
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}

/** Cuts off everything after the last newline of an open file. */
export function cutTornLine(fd: number): void {
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
  const tail = withFile(path, (fd, { size }) => {
    const bytes = Buffer.alloc(Math.min(size, maxBytes))
    const read = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    const lines = bytes.toString("utf8", 0, read).split("\n")
    // The text after the last newline is not a whole line, and the first piece may be the end of one.
    lines.pop()
    return { lines: bytes.length < size ? lines.slice(1) : lines, bytes: bytes.length }
  })
  return tail ?? { lines: [], bytes: 0 }
}
