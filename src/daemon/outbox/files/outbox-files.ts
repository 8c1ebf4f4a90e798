import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs"
import { ChatError } from "../../../protocol/errors.js"
import type { DaemonPaths } from "../../files/paths.js"
import type { OutboxLimits } from "../limits.js"
import { type GenerationMark, holdsMark, isInodeOf, newGeneration } from "./generation.js"
import { type FileEvents, type Inode, isSame, OutboxFile } from "./outbox-file.js"
import { TakenNames } from "./taken-names.js"

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
  readonly #path: string
  readonly #names: TakenNames
  readonly #limits: OutboxLimits
  readonly #nowMs: () => number
  readonly #events: FileEvents
  /** Progress of an earlier process, until its file is found. */
  #marks = new Map<string, GenerationMark>()
  #files: OutboxFile[] = []
  #live: OutboxFile | undefined

  constructor(paths: DaemonPaths, limits: OutboxLimits, nowMs: () => number, events: FileEvents) {
    this.#path = paths.outbox
    this.#names = new TakenNames(paths)
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
    return file.isNamed ? this.#names.pathOf(file.generation) : this.#path
  }

  /** Finds again what an earlier process had taken. @throws what the file system refuses; may be repeated */
  restore(marks: Map<string, GenerationMark>): void {
    this.close()
    this.#marks = marks
    this.#names.makeDirectory()
    for (const generation of this.#names.list(".out")) {
      const mark = marks.get(generation)
      this.#names.finish(generation, (stats) => mark === undefined || isInodeOf(stats, mark))
    }
    const bornNs = new Map<OutboxFile, number>()
    for (const generation of this.#names.list(".jsonl")) {
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
      if (stats.nlink === 1n) known.isNamed = this.#names.give(known.generation)
    }
  }

  /** Takes the live file away from `outbox.jsonl`; whoever has it open may go on appending. */
  clear(): void {
    const live = this.#live
    if (live === undefined) return
    this.#names.setAside(live.generation)
    this.#live = undefined
    const other = this.#names.finish(live.generation, (stats) => isSame(stats, live.inode))
    if (other !== undefined) this.#open(other)
    live.isNamed ||= other === undefined
    this.checkLive()
  }

  /** Forgets a file that nobody will append to any more. */
  drop(file: OutboxFile): void {
    if (file.isNamed) this.#names.remove(file.generation)
    this.#files = this.#files.filter((other) => other !== file)
    file.close()
  }

  /** Begins a new generation of a file that was emptied in place. The old one still has the lines it read. */
  beginAnew(lost: OutboxFile): void {
    const generation = newGeneration()
    const isNamed = lost.isNamed && this.#names.change(lost.generation, generation)
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
    let stats = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) {
      this.#names.makeDirectory()
      // A writer's `>>` may be faster; then it is the writer's file.
      closeSync(openSync(this.#path, constants.O_CREAT | constants.O_RDONLY | constants.O_NOFOLLOW, 0o600))
      stats = lstatSync(this.#path, { bigint: true })
    }
    if (!stats.isFile()) throw notPlain(stats)
    return stats
  }

  /** Takes on the inode that stands at `outbox.jsonl`. */
  #adopt(): OutboxFile {
    const generation = newGeneration()
    // The name comes first: on an overlay file system it is what makes the inode ours.
    if (!this.#names.give(generation)) return this.#take(undefined, this.#path)
    try {
      return this.#take(generation, this.#names.pathOf(generation))
    } catch (error) {
      this.#names.remove(generation)
      throw error
    }
  }

  /** Opens what stands under its second name; undefined for anything but a plain file. */
  #open(generation: string): OutboxFile | undefined {
    const stats = lstatSync(this.#names.pathOf(generation), { bigint: true })
    if (this.#find(stats) === undefined) {
      return stats.isFile() ? this.#take(generation, this.#names.pathOf(generation)) : undefined
    }
    this.#names.remove(generation)
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
        named !== undefined && (named === place.generation || this.#names.change(named, place.generation))
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

  #find(inode: Inode): OutboxFile | undefined {
    return this.#files.find((file) => !file.isLost && isSame(file.inode, inode))
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
