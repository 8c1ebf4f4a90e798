import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs"

const chunkBytes = 64 * 1024
const newline = 0x0a

/**
 * Reads the whole lines that a file gains from now on, also once it is replaced by another (a log that was
 * rotated) or emptied in place. Nothing is watched: {@link read} looks.
 */
export class LineTail {
  readonly #path: string
  readonly #buffer = Buffer.allocUnsafe(chunkBytes)
  #fd: number | undefined
  #offset = 0
  #partial: Buffer = Buffer.alloc(0)

  /** @param path - need not exist yet; what it holds now is skipped */
  constructor(path: string) {
    this.#path = path
    this.#open()
    if (this.#fd !== undefined) this.#offset = fstatSync(this.#fd).size
  }

  /** The lines that came since the last look, without their newlines. */
  read(): string[] {
    this.#open()
    const lines = this.#readOn()
    if (this.#fd === undefined || !this.#isReplaced(this.#fd)) return lines
    this.close()
    this.#open()
    return [...lines, ...this.#readOn()]
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#offset = 0
    this.#partial = Buffer.alloc(0)
  }

  #open(): void {
    if (this.#fd !== undefined) return
    try {
      this.#fd = openSync(this.#path, "r")
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
    }
  }

  #readOn(): string[] {
    const lines: string[] = []
    if (this.#fd === undefined) return lines
    if (fstatSync(this.#fd).size < this.#offset) {
      this.#offset = 0
      this.#partial = Buffer.alloc(0)
    }
    for (;;) {
      const count = readSync(this.#fd, this.#buffer, 0, chunkBytes, this.#offset)
      if (count === 0) return lines
      this.#offset += count
      this.#split(Buffer.concat([this.#partial, this.#buffer.subarray(0, count)]), lines)
    }
  }

  #split(bytes: Buffer, lines: string[]): void {
    let start = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      lines.push(bytes.toString("utf8", start, end))
      start = end + 1
    }
    this.#partial = Buffer.from(bytes.subarray(start))
  }

  #isReplaced(fd: number): boolean {
    const present = statSync(this.#path, { throwIfNoEntry: false })
    return present !== undefined && present.ino !== fstatSync(fd).ino
  }
}
