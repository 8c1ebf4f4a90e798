import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { writeFileAtomic } from "../../base/atomic-file.js"
import { ChatError } from "../../protocol/errors.js"
import { parseNick } from "../../protocol/names.js"
import { asFileProblem } from "../files/file-problem.js"
import type { DaemonPaths } from "../files/paths.js"

const suffix = ".json"

/** Where one named reader of an inbox is. Each reader has its own; none of them is "the" read mark. */
export class ReaderCursor {
  readonly path: string
  #seq: number

  private constructor(path: string, seq: number) {
    this.path = path
    this.#seq = seq
  }

  /**
   * @param reader - chosen by whoever reads, of the form of a nick
   * @throws {ChatError} INVALID_NAME for a name that is not allowed; FILE_FAILED for a file that is no cursor
   */
  static open(paths: Pick<DaemonPaths, "cursors">, reader: string): ReaderCursor {
    const path = join(paths.cursors, `${parseNick(reader)}${suffix}`)
    return new ReaderCursor(path, readCursor(path))
  }

  /** The last line this reader took; 0 before the first. */
  get seq(): number {
    return this.#seq
  }

  /**
   * The consumer has every line up to `seq`. Call it only then: what was printed into a pipe that
   * nobody read must come again. Never goes back, also when two processes read under one name.
   * @throws {ChatError} FILE_FAILED when it cannot be written
   */
  confirm(seq: number): void {
    const known = Math.max(this.#seq, readCursor(this.path))
    this.#seq = Math.max(known, seq)
    if (seq <= known) return
    try {
      mkdirSync(join(this.path, ".."), { recursive: true, mode: 0o700 })
      writeFileAtomic(this.path, `${JSON.stringify({ v: 1, seq })}\n`)
    } catch (error) {
      throw asFileProblem(error, this.path)
    }
  }
}

/**
 * The furthest any reader is; 0 when there is none. An inbox whose files were all deleted goes on
 * after it, so that no reader takes its next lines for old ones.
 */
export function furthestCursor(dir: string): number {
  return Math.max(0, ...listCursors(dir).values())
}

/** Where each reader is; what is no cursor counts for nothing. */
export function listCursors(dir: string): Map<string, number> {
  let names: string[] = []
  try {
    names = readdirSync(dir).filter((name) => name.endsWith(suffix))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
  }
  return new Map(names.map((name) => [name, seqAt(join(dir, name))]))
}

function seqAt(path: string): number {
  try {
    return seqIn(readFileSync(path, "utf8")) ?? 0
  } catch (error) {
    // A reader may be forgotten by deleting its file at any time.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0
    throw error
  }
}

function readCursor(path: string): number {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0
    throw asFileProblem(error, path)
  }
  const seq = seqIn(text)
  if (seq !== undefined) return seq
  throw new ChatError("FILE_FAILED", `${path}: not a reader's cursor`, {
    hint: "delete the file to read from the beginning",
  })
}

function seqIn(text: string): number | undefined {
  try {
    const { seq } = JSON.parse(text) as { seq?: unknown }
    return Number.isSafeInteger(seq) && (seq as number) >= 0 ? (seq as number) : undefined
  } catch {
    return undefined
  }
}
