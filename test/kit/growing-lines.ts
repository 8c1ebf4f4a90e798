import { closeSync, fstatSync, openSync, readSync } from "node:fs"

type Line = Readonly<Record<string, unknown>>

/** The lines of an append-only file, each parsed once. Text after the last newline is not a line yet. */
export class GrowingLines {
  readonly #path: string
  readonly #lines: Line[] = []
  #readTo = 0

  /** @param path - need not exist yet */
  constructor(path: string) {
    this.#path = path
  }

  /** Returns all lines, including new ones. */
  get all(): readonly Line[] {
    this.read()
    return this.#lines
  }

  /** Returns the lines since the last call. */
  read(): readonly Line[] {
    const text = this.#readOn()
    const lines = text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line)
    this.#lines.push(...lines)
    return lines
  }

  #readOn(): string {
    let fd: number
    try {
      fd = openSync(this.#path, "r")
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return ""
      throw error
    }
    try {
      const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - this.#readTo))
      const read = readSync(fd, bytes, 0, bytes.length, this.#readTo)
      const whole = bytes.subarray(0, bytes.subarray(0, read).lastIndexOf("\n") + 1)
      this.#readTo += whole.length
      return whole.toString()
    } finally {
      closeSync(fd)
    }
  }
}
