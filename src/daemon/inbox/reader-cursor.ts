import { dirname, join } from "node:path"
import { listIfExists, readIfExists, writeFileAtomic } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import { parseNick } from "../../protocol/names.js"
import { asFileProblem } from "../files/file-problems.js"
import { ensureDirectory } from "../files/home.js"
import type { DaemonPaths } from "../files/paths.js"

const suffix = ".json"
const maxCursorBytes = 4096

/** The position of one named reader of an inbox. Every reader has its own. */
export class ReaderCursor {
  readonly path: string
  #seq: number

  private constructor(path: string, seq: number) {
    this.path = path
    this.#seq = seq
  }

  /**
   * @param reader - name chosen by the reader, in the form of a nick
   * @throws {ChatError} INVALID_NAME for any other name; FILE_FAILED for a file that is not a cursor
   */
  static open(paths: Pick<DaemonPaths, "cursors">, reader: string): ReaderCursor {
    const path = join(paths.cursors, `${parseNick(reader)}${suffix}`)
    return new ReaderCursor(path, readCursor(path))
  }

  /** `seq` of the last line this reader took; 0 before the first. */
  get seq(): number {
    return this.#seq
  }

  /**
   * Records that the consumer has every line up to `seq`. Call it only once that is certain: lines printed into a pipe
   * that nobody read must come again. Never goes back, even if two processes read under one name.
   * @throws {ChatError} FILE_FAILED when the file cannot be written
   */
  confirm(seq: number): void {
    const known = Math.max(this.#seq, readCursor(this.path))
    this.#seq = Math.max(known, seq)
    if (seq <= known) return
    try {
      ensureDirectory(dirname(this.path))
      writeFileAtomic(this.path, `${JSON.stringify({ v: 1, seq })}\n`)
    } catch (error) {
      throw asFileProblem(error, this.path)
    }
  }
}

/**
 * Returns the furthest position of any reader; 0 if there is none. An inbox whose files were all deleted continues after
 * it, so that no reader mistakes new lines for old ones.
 */
export function furthestCursor(dir: string): number {
  return Math.max(0, ...listCursors(dir).values())
}

/** Returns the position of each reader by file name; a damaged cursor counts as 0. */
export function listCursors(dir: string): Map<string, number> {
  const names = listIfExists(dir).filter((name) => name.endsWith(suffix))
  return new Map(names.map((name) => [name, seqAt(join(dir, name))]))
}

/** Anybody may delete a cursor at any time, to forget its reader. */
function seqAt(path: string): number {
  return seqIn(readIfExists(path, maxCursorBytes)) ?? 0
}

function readCursor(path: string): number {
  let text: string | undefined
  try {
    text = readIfExists(path, maxCursorBytes)
  } catch (error) {
    throw asFileProblem(error, path)
  }
  const seq = text === undefined ? 0 : seqIn(text)
  if (seq !== undefined) return seq
  throw new ChatError("FILE_FAILED", `${path}: not a reader's cursor`, {
    hint: "delete the file to read from the beginning",
  })
}

function seqIn(text = ""): number | undefined {
  try {
    const { seq } = JSON.parse(text) as { seq?: unknown }
    return Number.isSafeInteger(seq) && (seq as number) >= 0 ? (seq as number) : undefined
  } catch {
    return undefined
  }
}
