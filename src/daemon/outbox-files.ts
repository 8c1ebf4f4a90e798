import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs"
import { join } from "node:path"
import { ChatError } from "../protocol/errors.js"
import type { InstancePaths } from "./instance-paths.js"
import { makeDirectory } from "./outbox-directory.js"
import { type FileEvents, type Inode, OutboxFile } from "./outbox-file.js"
import {
  type GenerationMark,
  holdsMark,
  isGeneration,
  isInodeOf,
  newGeneration,
} from "./outbox-generation.js"
import type { OutboxLimits } from "./outbox-limits.js"
import { isFileError } from "./outbox-problems.js"

// Not through a symbolic link, and not waiting for the writer of a pipe.
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Every inode that is, or was, `outbox.jsonl` and may still be written to.
 *
 * ```
 *   outbox.jsonl ───────────────┐   adopt: a second name, which also tells the generation
 *   outbox.taken/GEN.jsonl ─────┴─▶ inode
 *
 *   clear:  rename outbox.jsonl → outbox.taken/GEN.out, make a new outbox.jsonl, then drop GEN.out
 *   drop:   remove outbox.taken/GEN.jsonl, when no writer is left
 * ```
 * With the second name an outbox that is deleted or replaced loses nothing, and its inode number cannot come
 * back as another file. Where a file system has no hard links, the cursor tells the generation instead.
 */
export class OutboxFiles {
  readonly #paths: InstancePaths
  readonly #limits: OutboxLimits
  readonly #nowMs: () => number
  readonly #events: FileEvents
  /** Progress of an earlier process, until its file is found. */
  #marks = new Map<string, GenerationMark>()
  #files: OutboxFile[] = []
  #live: OutboxFile | undefined

  constructor(paths: InstancePaths, limits: OutboxLimits, nowMs: () => number, events: FileEvents) {
    this.#paths = paths
    this.#limits = limits
    this.#nowMs = nowMs
    this.#events = events
  }

  /** Oldest first. */
  get all(): readonly OutboxFile[] {
    return this.#files
  }

  /** Those that can still be read. */
  get kept(): readonly OutboxFile[] {
    return this.#files.filter((file) => !file.isLost)
  }

  /** The one that stands at `outbox.jsonl`. */
  get live(): OutboxFile | undefined {
    return this.#live
  }

  /** A name by which a file can be watched. */
  nameOf(file: OutboxFile): string {
    return file.isNamed ? this.#takenPath(file.generation) : this.#paths.outbox
  }

  /** Finds again what an earlier process had taken. @throws what the file system refuses; may be repeated */
  restore(marks: Map<string, GenerationMark>): void {
    this.close()
    this.#marks = marks
    makeDirectory(this.#paths.outboxTaken)
    for (const generation of this.#listTaken(".out")) {
      const mark = marks.get(generation)
      this.#putAside(generation, (stats) => mark === undefined || isInodeOf(stats, mark))
    }
    const bornNs = new Map<OutboxFile, number>()
    for (const generation of this.#listTaken(".jsonl")) {
      const file = this.#open(generation)
      if (file !== undefined) bornNs.set(file, Number(fstatSync(file.fd, { bigint: true }).birthtimeNs))
    }
    this.#files.sort((a, b) => (bornNs.get(a) ?? 0) - (bornNs.get(b) ?? 0))
  }

  /**
   * Looks what stands at `outbox.jsonl` now; makes it when nothing does.
   * @throws what the file system refuses, or ChatError FILE_FAILED when it is no plain file
   */
  checkLive(): void {
    const stats = this.#lookOrMake()
    const known = this.#find(stats)
    if (known === undefined) this.#live = this.#adopt()
    else {
      this.#live = known
      if (stats.nlink === 1n) known.isNamed = this.#link(known.generation)
    }
  }

  /** Takes the live file away from `outbox.jsonl`; whoever has it open may go on appending. */
  clear(): void {
    const live = this.#live
    if (live === undefined) return
    renameSync(this.#paths.outbox, this.#takenPath(live.generation, ".out"))
    this.#live = undefined
    const other = this.#putAside(live.generation, (stats) => isSame(stats, live.inode))
    if (other !== undefined) this.#open(other)
    live.isNamed ||= other === undefined
    this.checkLive()
  }

  /** Forgets a file that nobody will append to any more. */
  drop(file: OutboxFile): void {
    if (file.isNamed) rmSync(this.#takenPath(file.generation), { force: true })
    this.#files = this.#files.filter((other) => other !== file)
    file.close()
  }

  /** Begins a new generation of a file that was emptied in place. The old one still has the lines it read. */
  beginAnew(lost: OutboxFile): void {
    const generation = newGeneration()
    const isNamed = lost.isNamed && this.#rename(lost.generation, generation)
    const place = { generation, inode: lost.inode, fd: lost.giveFile(), start: 0, isNamed, isSaved: false }
    const file = this.#make(place)
    if (this.#live === lost) this.#live = file
    this.#files = this.#files.flatMap((other) => (other === lost ? [lost, file] : other))
  }

  close(): void {
    for (const file of this.#files) file.close()
    this.#files = []
    this.#live = undefined
  }

  #lookOrMake(): BigIntStats {
    this.#live = undefined
    let stats = lstatSync(this.#paths.outbox, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) {
      makeDirectory(this.#paths.outboxTaken)
      // A writer's `>>` may be faster; then it is the writer's file.
      closeSync(
        openSync(this.#paths.outbox, constants.O_CREAT | constants.O_RDONLY | constants.O_NOFOLLOW, 0o600),
      )
      stats = lstatSync(this.#paths.outbox, { bigint: true })
    }
    if (!stats.isFile()) throw notPlain(stats)
    return stats
  }

  /** Takes on the inode that stands at `outbox.jsonl`. */
  #adopt(): OutboxFile {
    const generation = newGeneration()
    // The name comes first: on an overlay file system it is what makes the inode ours.
    if (!this.#link(generation)) return this.#take(undefined, this.#paths.outbox)
    try {
      return this.#take(generation, this.#takenPath(generation))
    } catch (error) {
      rmSync(this.#takenPath(generation), { force: true })
      throw error
    }
  }

  /** Opens what stands under its second name; undefined for anything but a plain file. */
  #open(generation: string): OutboxFile | undefined {
    const stats = lstatSync(this.#takenPath(generation), { bigint: true })
    if (this.#find(stats) === undefined) {
      return stats.isFile() ? this.#take(generation, this.#takenPath(generation)) : undefined
    }
    rmSync(this.#takenPath(generation))
    return undefined
  }

  /** @param named - the generation that the file's second name tells, if it has one */
  #take(named: string | undefined, path: string): OutboxFile {
    const fd = openSync(path, readFlags)
    try {
      const stats = fstatSync(fd, { bigint: true })
      if (!stats.isFile()) throw notPlain(stats)
      const place = this.#identify(named, stats, fd)
      const isNamed =
        named !== undefined && (named === place.generation || this.#rename(named, place.generation))
      this.#marks.delete(place.generation)
      const file = this.#make({ ...place, inode: { dev: stats.dev, ino: stats.ino }, fd, isNamed })
      this.#files.push(file)
      return file
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  #identify(
    named: string | undefined,
    stats: BigIntStats,
    fd: number,
  ): { generation: string; start: number; isSaved: boolean } {
    const marks = Array.from(this.#marks.values())
    const mark = this.#marks.get(named ?? "") ?? marks.find((other) => isInodeOf(stats, other))
    // An empty file always begins anew: a copy of this directory must not give its lines the same names.
    if (stats.size > 0n) {
      if (mark === undefined) return { generation: named ?? newGeneration(), start: 0, isSaved: false }
      if (holdsMark(fd, mark)) return { generation: mark.generation, start: mark.offset, isSaved: true }
    }
    return { generation: newGeneration(), start: 0, isSaved: false }
  }

  #make(place: ConstructorParameters<typeof OutboxFile>[0]): OutboxFile {
    return new OutboxFile(place, this.#limits, this.#nowMs(), this.#events)
  }

  /**
   * Ends a clearing: what was renamed away keeps, or gets, its second name.
   * @returns the generation of what somebody else had put at `outbox.jsonl` in that very moment
   */
  #putAside(generation: string, isOurs: (stats: BigIntStats) => boolean): string | undefined {
    const aside = this.#takenPath(generation, ".out")
    const moved = lstatSync(aside, { bigint: true })
    const named = lstatSync(this.#takenPath(generation), { bigint: true, throwIfNoEntry: false })
    if (named !== undefined && isSame(moved, named)) rmSync(aside)
    else {
      const other = named === undefined && isOurs(moved) ? generation : newGeneration()
      renameSync(aside, this.#takenPath(other))
      if (other !== generation) return other
    }
    return undefined
  }

  #listTaken(extension: TakenExtension): string[] {
    return readdirSync(this.#paths.outboxTaken)
      .filter((name) => name.endsWith(extension))
      .map((name) => name.slice(0, -extension.length))
      .filter(isGeneration)
  }

  #link(generation: string): boolean {
    return tryTo(() => linkSync(this.#paths.outbox, this.#takenPath(generation)))
  }

  #rename(from: string, to: string): boolean {
    return tryTo(() => renameSync(this.#takenPath(from), this.#takenPath(to)))
  }

  #find(inode: Inode): OutboxFile | undefined {
    return this.#files.find((file) => !file.isLost && isSame(file.inode, inode))
  }

  #takenPath(generation: string, extension: TakenExtension = ".jsonl"): string {
    return join(this.#paths.outboxTaken, generation + extension)
  }
}

type TakenExtension = ".jsonl" | ".out"

function isSame(a: Inode, b: Inode): boolean {
  return a.ino === b.ino && a.dev === b.dev
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

function notPlain(stats: BigIntStats): ChatError {
  const kind = stats.isSymbolicLink()
    ? "a symbolic link"
    : stats.isDirectory()
      ? "a directory"
      : "no plain file"
  return new ChatError("FILE_FAILED", `outbox.jsonl: is ${kind}`, {
    hint: "move it away; the daemon makes a new outbox.jsonl by itself",
  })
}
