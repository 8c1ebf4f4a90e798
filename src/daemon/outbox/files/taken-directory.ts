import { randomBytes } from "node:crypto"
import { type BigIntStats, linkSync, lstatSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { isFileError } from "../../files/file-problems.js"
import { ensureDirectory } from "../../files/home.js"
import type { DaemonPaths } from "../../files/paths.js"

type Extension = ".jsonl" | ".out"

/**
 * A generation is the time during which an inode is used as an outbox. Its lines are named `generation.offset`, also
 * after a restart. A file that is emptied in place begins a new generation.
 */
const generationPattern = /^[0-9a-z]{10}$/
const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

/** Returns an unused generation name: 10 random characters of 0-9 a-z. */
export function newGeneration(): string {
  return Array.from(randomBytes(10), (byte) => base36[byte % 36]).join("")
}

export function isGeneration(text: string): boolean {
  return generationPattern.test(text)
}

/** Identifies a file while it exists, whatever its names. */
export interface Inode {
  readonly dev: bigint
  readonly ino: bigint
}

export function isSameInode(a: Inode, b: Inode): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/**
 * outbox.taken/: hard links to the files that are, or were, outbox.jsonl. The link `GENERATION.jsonl` keeps a file from
 * being lost and records its generation. `GENERATION.out` exists only while a file is moved away from outbox.jsonl.
 */
export class TakenDirectory {
  readonly #outbox: string
  readonly #dir: string

  constructor({ outbox, outboxTaken }: Pick<DaemonPaths, "outbox" | "outboxTaken">) {
    this.#outbox = outbox
    this.#dir = outboxTaken
  }

  /** Returns the path of a generation's link. */
  pathOf(generation: string, extension: Extension = ".jsonl"): string {
    return join(this.#dir, generation + extension)
  }

  /** Lists the generations with a link. @throws the system error */
  list(extension: Extension): string[] {
    return readdirSync(this.#dir)
      .filter((name) => name.endsWith(extension))
      .map((name) => name.slice(0, -extension.length))
      .filter(isGeneration)
  }

  /** Creates the directory unless it exists. @throws the system error */
  ensure(): void {
    ensureDirectory(this.#dir)
  }

  /** Links outbox.jsonl to a generation. @returns false where the file system has no hard links */
  link(generation: string): boolean {
    return succeeds(() => linkSync(this.#outbox, this.pathOf(generation)))
  }

  /** Renames a link to another generation. @returns whether the file system allowed it */
  rename(from: string, to: string): boolean {
    return succeeds(() => this.move(from, to))
  }

  /** Does the same. @throws the system error */
  move(from: string, to: string): void {
    renameSync(this.pathOf(from), this.pathOf(to))
  }

  /** Removes a link, if it exists. @throws the system error */
  remove(generation: string): void {
    rmSync(this.pathOf(generation), { force: true })
  }

  /** Moves outbox.jsonl to `GENERATION.out`; call {@link finishMove} next. @throws the system error */
  moveOut(generation: string): void {
    renameSync(this.#outbox, this.pathOf(generation, ".out"))
  }

  /**
   * Completes a move, perhaps one that a crash interrupted: the moved file keeps its link, or gets one.
   * @param isOurs - reports whether a file without a link belongs to the generation
   * @returns a new generation if another program had replaced outbox.jsonl just before the move
   * @throws the system error
   */
  finishMove(generation: string, isOurs: (stats: BigIntStats) => boolean): string | undefined {
    const out = this.pathOf(generation, ".out")
    const moved = lstatSync(out, { bigint: true })
    const linked = lstatSync(this.pathOf(generation), { bigint: true, throwIfNoEntry: false })
    if (linked !== undefined && isSameInode(moved, linked)) {
      rmSync(out)
      return undefined
    }
    const actual = linked === undefined && isOurs(moved) ? generation : newGeneration()
    renameSync(out, this.pathOf(actual))
    return actual === generation ? undefined : actual
  }
}

function succeeds(work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (isFileError(error)) return false
    throw error
  }
}
