/** Follows files that other processes append to. */
import { closeSync, fstatSync, readSync, statSync, watch } from "node:fs"
import { openIfExists } from "../../base/files.js"

const chunkBytes = 64 * 1024
const newline = 0x0a

/**
 * Calls back with the name of a file when something in a directory changes. Callers must poll as well: where the system
 * has no watches left, nothing is ever reported.
 * @returns a function that ends the watch
 */
export function watchDirectory(dir: string, onChange: (name: string | null) => void): () => void {
  try {
    const watcher = watch(dir, (_event, name) => onChange(name)).on("error", () => {})
    return () => watcher.close()
  } catch {
    return () => {}
  }
}

/**
 * Reads the complete lines that are appended to a file from now on, also after the file is replaced (a rotated log) or
 * truncated. {@link read} looks for new lines; nothing is watched.
 */
export class FileTail {
  readonly #path: string
  readonly #buffer = Buffer.allocUnsafe(chunkBytes)
  #fd: number | undefined
  #offset = 0
  #partial: Buffer = Buffer.alloc(0)

  /** @param path - need not exist yet; present contents are skipped */
  constructor(path: string) {
    this.#path = path
    this.#open()
    if (this.#fd !== undefined) this.#offset = fstatSync(this.#fd).size
  }

  /** Returns the lines appended since the last call, without their newlines. */
  read(): string[] {
    this.#open()
    const lines = this.#readNew()
    if (this.#fd === undefined || !this.#isReplaced(this.#fd)) return lines
    this.close()
    this.#open()
    return [...lines, ...this.#readNew()]
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#offset = 0
    this.#partial = Buffer.alloc(0)
  }

  #open(): void {
    this.#fd ??= openIfExists(this.#path)
  }

  #readNew(): string[] {
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
    const current = statSync(this.#path, { throwIfNoEntry: false })
    return current !== undefined && current.ino !== fstatSync(fd).ino
  }
}
