import { statSync } from "node:fs"

/** Notices that files were added to a directory, replaced or removed, for the price of one system call. */
export class DirectoryChange {
  readonly #dir: string
  #mtime = ""
  #isCheckDue = true

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Reports whether something may have changed since the last call; true at the first. Throws file errors. */
  get isDue(): boolean {
    const found = statSync(this.#dir, { bigint: true, throwIfNoEntry: false })
    const mtime = found === undefined ? "" : String(found.mtimeNs)
    const hasChanged = mtime !== this.#mtime
    const isDue = hasChanged || this.#isCheckDue
    // Two changes within the resolution of the file system's clock have the same time, so check once more.
    this.#isCheckDue = hasChanged
    this.#mtime = mtime
    return isDue
  }
}
