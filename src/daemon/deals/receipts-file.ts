import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { syncDirectory } from "../../base/atomic-file.js"
import { formatReceipt, type Receipt } from "../../proposals/receipt.js"
import { cutTornLine } from "../files/append-log.js"
import { Dedup } from "../inbox/dedup.js"

/** Milliseconds after which the lock of a process that died with it counts for nothing. */
const staleMs = 10_000
const chunkBytes = 1024 * 1024
const newline = 0x0a

/**
 * receipts.jsonl, which all daemons of a directory append to: whole lines, under a lock, each chain once. What a
 * crash or a full disk left of a line is taken away before the next one.
 */
export class ReceiptsFile {
  readonly #path: string
  /** The lines up to {@link #readTo}; a keyed hash of each. */
  #known = new Dedup(Number.POSITIVE_INFINITY)
  #readTo = 0
  #inode = ""

  constructor(path: string) {
    this.#path = path
  }

  /**
   * Appends those that do not stand there. All of them are on disk when this returns.
   * @returns false when another process has the lock; then nothing was appended, and it is worth another try soon
   * @throws what the file system refuses; then nothing was appended
   */
  append(receipts: readonly Receipt[]): boolean {
    const release = this.#lock()
    if (release === undefined) return false
    try {
      this.#append(receipts.map(formatReceipt))
    } finally {
      release()
    }
    return true
  }

  #lock(): (() => void) | undefined {
    const { lockSync } = createRequire(import.meta.url)("proper-lockfile") as typeof import("proper-lockfile")
    try {
      // Held within one turn of the event loop, so there is no moment at which it could be refreshed or lost.
      return lockSync(this.#path, { realpath: false, stale: staleMs, onCompromised: () => {} })
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ELOCKED") return undefined
      throw error
    }
  }

  #append(lines: readonly string[]): void {
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants
    const fd = openSync(this.#path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600)
    try {
      cutTornLine(fd)
      this.#readOn(fd)
      const fresh = [...new Set(lines)].filter((line) => !this.#known.has(line))
      if (fresh.length === 0) return
      this.#write(fd, Buffer.from(fresh.map((line) => `${line}\n`).join("")))
      for (const line of fresh) this.#known.add(line)
      this.#readTo = fstatSync(fd).size
    } finally {
      closeSync(fd)
    }
  }

  #write(fd: number, bytes: Buffer): void {
    const { size } = fstatSync(fd)
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
      fsyncSync(fd)
      if (size === 0) syncDirectory(dirname(this.#path))
    } catch (error) {
      ftruncateSync(fd, size)
      throw error
    }
  }

  /** Takes note of what others appended, or of all that stands in another file of this name. */
  #readOn(fd: number): void {
    const { dev, ino, size } = fstatSync(fd)
    const inode = `${dev} ${ino}`
    if (inode !== this.#inode || size < this.#readTo) {
      this.#known = new Dedup(Number.POSITIVE_INFINITY)
      this.#readTo = 0
      this.#inode = inode
    }
    const chunk = Buffer.alloc(Math.min(size - this.#readTo, chunkBytes))
    let rest = ""
    while (this.#readTo < size) {
      const read = readSync(fd, chunk, 0, Math.min(chunk.length, size - this.#readTo), this.#readTo)
      if (read === 0) break
      this.#readTo += read
      rest = this.#takeLines(rest, chunk.subarray(0, read))
    }
  }

  /** Bytes as latin1: a line that falls into two chunks may be cut within a character. */
  #takeLines(rest: string, bytes: Buffer): string {
    if (!bytes.includes(newline)) return rest + bytes.toString("latin1")
    const lines = (rest + bytes.toString("latin1")).split("\n")
    const last = lines.pop() ?? ""
    for (const line of lines) this.#known.add(Buffer.from(line, "latin1").toString())
    return last
  }
}
