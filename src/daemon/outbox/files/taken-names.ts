import { type BigIntStats, linkSync, lstatSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { DaemonPaths } from "../../files/paths.js"
import { isFileError } from "../problems.js"
import { makeDirectory } from "./directory.js"
import { isGeneration, newGeneration } from "./generation.js"
import { isSame } from "./outbox-file.js"

type Extension = ".jsonl" | ".out"

/**
 * outbox.taken/: the second names of the files that are, or were, `outbox.jsonl`. `GEN.jsonl` tells the generation and
 * keeps an inode from being lost or numbered anew; `GEN.out` stands only while a file is being cleared away.
 */
export class TakenNames {
  readonly #outbox: string
  readonly #dir: string

  constructor({ outbox, outboxTaken }: Pick<DaemonPaths, "outbox" | "outboxTaken">) {
    this.#outbox = outbox
    this.#dir = outboxTaken
  }

  /** Where the file of a generation has its second name. */
  pathOf(generation: string, extension: Extension = ".jsonl"): string {
    return join(this.#dir, generation + extension)
  }

  /** Generations that have a name. @throws what the file system refuses */
  list(extension: Extension): string[] {
    return readdirSync(this.#dir)
      .filter((name) => name.endsWith(extension))
      .map((name) => name.slice(0, -extension.length))
      .filter(isGeneration)
  }

  /** Makes the directory unless it is there. @throws what the file system refuses */
  makeDirectory(): void {
    makeDirectory(this.#dir)
  }

  /** Gives what stands at `outbox.jsonl` a second name. @returns false where there are no hard links */
  give(generation: string): boolean {
    return tryTo(() => linkSync(this.#outbox, this.pathOf(generation)))
  }

  /** @returns whether it could be done */
  change(from: string, to: string): boolean {
    return tryTo(() => renameSync(this.pathOf(from), this.pathOf(to)))
  }

  /** Takes a name away, if it is there. @throws what the file system refuses */
  remove(generation: string): void {
    rmSync(this.pathOf(generation), { force: true })
  }

  /** Takes what stands at `outbox.jsonl` away from there; {@link finish} comes next. @throws what the file system refuses */
  setAside(generation: string): void {
    renameSync(this.#outbox, this.pathOf(generation, ".out"))
  }

  /**
   * Has what was set aside, perhaps before a crash, keep its second name or get one.
   * @param isOurs - whether an inode without a second name is the generation's
   * @returns the generation of what somebody else had put at `outbox.jsonl` in that very moment
   * @throws what the file system refuses
   */
  finish(generation: string, isOurs: (stats: BigIntStats) => boolean): string | undefined {
    const aside = this.pathOf(generation, ".out")
    const moved = lstatSync(aside, { bigint: true })
    const named = lstatSync(this.pathOf(generation), { bigint: true, throwIfNoEntry: false })
    if (named !== undefined && isSame(moved, named)) rmSync(aside)
    else {
      const other = named === undefined && isOurs(moved) ? generation : newGeneration()
      renameSync(aside, this.pathOf(other))
      if (other !== generation) return other
    }
    return undefined
  }
}

/** For what is an improvement where it works. */
function tryTo(work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (isFileError(error)) return false
    throw error
  }
}
