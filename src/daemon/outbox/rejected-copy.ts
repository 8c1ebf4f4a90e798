import { createHash } from "node:crypto"
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { makeDirectory } from "./files/directory.js"

const stepBytes = 1024 * 1024

/** Copies a line too large for memory out of the file it stands in, a piece at a time. */
export class RejectedCopy {
  readonly #from: number
  readonly #to: string
  readonly #end: number
  readonly #hash = createHash("sha256")
  #at: number
  #fd: number | undefined
  readonly #piece: Buffer

  /** @param from - open file that holds the line at `start`..`end` */
  constructor(from: number, start: number, end: number, to: string) {
    this.#from = from
    this.#at = start
    this.#end = end
    this.#to = to
    this.#piece = Buffer.allocUnsafeSlow(Math.min(stepBytes, end - start))
  }

  /**
   * Copies up to 1 MiB more.
   * @returns the SHA-256 of the line, in hex, once all of it stands in its file
   * @throws what the file system refuses; then begin anew with another copy
   */
  step(): string | undefined {
    makeDirectory(dirname(this.#to))
    this.#fd ??= openSync(`${this.#to}.tmp`, "w", 0o600)
    const piece = this.#piece.subarray(0, this.#end - this.#at)
    const read = readSync(this.#from, piece, 0, piece.length, this.#at)
    for (let written = 0; written < read; ) written += writeSync(this.#fd, piece, written, read - written)
    this.#hash.update(piece.subarray(0, read))
    this.#at += read
    // A file that was cut short meanwhile has no more to give.
    if (read > 0 && this.#at < this.#end) return undefined
    closeSync(this.#fd)
    this.#fd = undefined
    renameSync(`${this.#to}.tmp`, this.#to)
    return this.#hash.digest("hex")
  }

  /** Leaves nothing behind. */
  abort(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    rmSync(`${this.#to}.tmp`, { force: true })
  }
}
