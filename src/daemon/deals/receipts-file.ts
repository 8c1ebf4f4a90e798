import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, readSync } from "node:fs"
import { dirname } from "node:path"
import { openPlain, syncDirectory, writeAll } from "../../base/files.js"
import { type Decision, formatReceipt, type Receipt } from "../../proposals/receipt.js"
import { cutTornLine } from "../files/append-log.js"
import { type LockOwner, underLock } from "../files/lock-file.js"
import { Dedup } from "../inbox/dedup.js"

const chunkBytes = 1024 * 1024
const newline = 0x0a

/**
 * receipts.jsonl, shared by all daemons of a directory. A daemon appends whole lines under a lock, each receipt once.
 * A partial line of a crash or a full disk is removed before the next append.
 */
export class ReceiptsFile {
  readonly #path: string
  readonly #owner: LockOwner
  /** The lines up to offset {@link #readTo}. */
  #known = new Dedup(Number.POSITIVE_INFINITY)
  #readTo = 0
  #inode = ""

  /** @param owner - takes the lock */
  constructor(path: string, owner: LockOwner) {
    this.#path = path
    this.#owner = owner
  }

  /**
   * Appends the receipts that the file does not contain. All of them are on disk when this returns.
   * @returns false if another process has the lock; then nothing was appended
   * @throws an error of the file system; then nothing was appended
   */
  append(receipts: readonly (Receipt | Decision)[]): boolean {
    return underLock(`${this.#path}.lock`, this.#owner, () => this.#append(receipts.map(formatReceipt)))
  }

  #append(lines: readonly string[]): void {
    const { O_RDWR, O_CREAT, O_APPEND } = constants
    const fd = openPlain(this.#path, O_RDWR | O_CREAT | O_APPEND)
    try {
      cutTornLine(fd)
      this.#readAppended(fd)
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
      writeAll(fd, bytes)
      fsyncSync(fd)
      if (size === 0) syncDirectory(dirname(this.#path))
    } catch (error) {
      ftruncateSync(fd, size)
      throw error
    }
  }

  /** Reads what other processes appended, or the whole file if it was replaced. */
  #readAppended(fd: number): void {
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

  /** Decodes as latin1 first: a chunk may end within a character. */
  #takeLines(rest: string, bytes: Buffer): string {
    if (!bytes.includes(newline)) return rest + bytes.toString("latin1")
    const lines = (rest + bytes.toString("latin1")).split("\n")
    const last = lines.pop() ?? ""
    for (const line of lines) this.#known.add(Buffer.from(line, "latin1").toString())
    return last
  }
}
