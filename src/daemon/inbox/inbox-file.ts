import { closeSync, constants, fstatSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { syncDirectory } from "../../base/atomic-file.js"
import type { InboxBatch } from "./queue.js"

// Read as well as append: a file that somebody deleted can still be sealed through its descriptor.
const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT

/** What became of the file since the last call. */
export type Finding = "ours" | "changed" | "gone"

/** The open inbox file. */
export class InboxFile {
  readonly path: string
  readonly fd: number
  readonly #device: number
  readonly #inode: number
  #bytes: number

  private constructor(path: string, fd: number) {
    this.path = path
    this.fd = fd
    const { dev, ino, size } = fstatSync(fd)
    this.#device = dev
    this.#inode = ino
    this.#bytes = size
  }

  /** Opens the file, making it (0600) when there is none. Throws the system's errors. */
  static open(path: string): InboxFile {
    const isNew = statSync(path, { throwIfNoEntry: false }) === undefined
    const fd = openSync(path, flags, 0o600)
    if (isNew) syncDirectory(dirname(path))
    return new InboxFile(path, fd)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether the path still leads to this file, and its size is what was written. */
  inspect(): Finding {
    const found = statSync(this.path, { throwIfNoEntry: false })
    if (found?.ino !== this.#inode || found.dev !== this.#device) return "gone"
    if (found.size === this.#bytes) return "ours"
    this.#bytes = found.size
    return "changed"
  }

  /** Appends the rest of a batch. Throws the system's errors; `batch.written` tells how far it came. */
  append(batch: InboxBatch): void {
    while (batch.written < batch.bytes.length) {
      const count = writeSync(this.fd, batch.bytes, batch.written)
      batch.written += count
      this.#bytes += count
    }
  }

  /** Empties the file in place. */
  clear(): void {
    ftruncateSync(this.fd, 0)
    this.#bytes = 0
  }

  close(): void {
    closeSync(this.fd)
  }
}
