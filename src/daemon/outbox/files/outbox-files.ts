import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, readSync } from "node:fs"
import { openPlain, withFile } from "../../../base/files.js"
import { ChatError } from "../../../protocol/errors.js"
import type { FileProblems } from "../../files/file-problems.js"
import type { SplitEnd } from "../../files/line-splitter.js"
import type { DaemonPaths } from "../../files/paths.js"
import type { OutboxLimits } from "../limits.js"
import type { SendableLine } from "../line-queue.js"
import type { RejectedLines } from "../rejected.js"
import { type GenerationMark, holdsMark, isInodeOf, type OutboxCursor } from "./cursor.js"
import { type FileOptions, OutboxFile } from "./outbox-file.js"
import { type Inode, isSameInode, newGeneration, TakenDirectory } from "./taken-directory.js"

const compareBytes = 64 * 1024

/** The parts of an outbox that its files use. */
export interface FilesOptions {
  readonly paths: DaemonPaths
  readonly limits: OutboxLimits
  readonly nowMs: () => number
  readonly problems: FileProblems
  readonly rejected: RejectedLines
  readonly cursor: OutboxCursor
}

/**
 * Every file that is, or was, outbox.jsonl and may still be appended to.
 *
 * ```
 *   outbox.jsonl ───────────────┐   adopt: add a link, whose name is the generation
 *   outbox.taken/GEN.jsonl ─────┴─▶ inode
 *
 *   move out: rename outbox.jsonl → outbox.taken/GEN.out, create a new outbox.jsonl, remove GEN.out
 *   delete:   remove outbox.taken/GEN.jsonl once no process has it open
 * ```
 * Because of the link an outbox that is deleted or replaced loses nothing, and its inode number cannot be reused for
 * another file. On a file system without hard links the cursor file records the generation instead.
 */
export class OutboxFiles {
  readonly #options: FilesOptions
  readonly #path: string
  readonly #taken: TakenDirectory
  /** Progress saved by an earlier process, until its file is found. */
  #marks = new Map<string, GenerationMark>()
  /** Files of an earlier process that are copies, because the whole directory was copied. */
  readonly #copies = new Set<OutboxFile>()
  #files: OutboxFile[] = []
  #current: OutboxFile | undefined
  #hasMore = false
  #isUnfinished = false

  constructor(options: FilesOptions) {
    this.#options = options
    this.#path = options.paths.outbox
    this.#taken = new TakenDirectory(options.paths)
  }

  /** All files, oldest first. */
  get all(): readonly OutboxFile[] {
    return this.#files
  }

  /** The files that can still be read, oldest first. */
  get readable(): readonly OutboxFile[] {
    return this.#files.filter((file) => !file.isReplaced)
  }

  /** The file at outbox.jsonl. */
  get current(): OutboxFile | undefined {
    return this.#current
  }

  /** True if the last {@link read} stopped before the end of a file. */
  get hasMore(): boolean {
    return this.#hasMore
  }

  /** True if it stopped only to let the event loop run, and should be repeated soon. */
  get isUnfinished(): boolean {
    return this.#isUnfinished
  }

  /** Returns a path by which a file can be watched. */
  pathOf(file: OutboxFile): string {
    return file.isLinked ? this.#taken.pathOf(file.generation) : this.#path
  }

  /** Finds the files of an earlier process. @throws the system error; may be repeated */
  restore(marks: Map<string, GenerationMark>): void {
    this.close()
    this.#marks = marks
    this.#taken.ensure()
    for (const generation of this.#taken.list(".out")) {
      const mark = marks.get(generation)
      this.#taken.finishMove(generation, (stats) => mark === undefined || isInodeOf(stats, mark))
    }
    const bornNs = new Map<OutboxFile, number>()
    for (const link of this.#taken.list(".jsonl")) {
      const file = this.#openLinked(this.#renewEmpty(this.#repairLink(link)))
      if (file !== undefined) bornNs.set(file, Number(fstatSync(file.fd, { bigint: true }).birthtimeNs))
    }
    this.#files.sort((a, b) => (bornNs.get(a) ?? 0) - (bornNs.get(b) ?? 0))
  }

  /**
   * Finds out which file is at outbox.jsonl now, and creates it if there is none.
   * @throws the system error, or ChatError FILE_FAILED for anything but a plain file
   */
  checkCurrent(): void {
    const stats = this.#statOrCreate()
    const known = this.#find(stats)
    if (known === undefined) this.#current = this.#adopt()
    else {
      this.#current = known
      if (stats.nlink === 1n) known.isLinked = this.#taken.link(known.generation)
    }
  }

  /**
   * Reads up to the first file with something left, the newest of these first. A writer that opens the outbox for each
   * line goes from an older file to a newer one, never back. So an older file is sent first, and is read again after a
   * newer one was.
   * @returns whether anything was new
   */
  read(): boolean {
    const files = this.readable
    const busy = files.findIndex((file) => !file.isDrained)
    this.#hasMore = busy >= 0 && busy < files.length - 1
    this.#isUnfinished = false
    let isNew = false
    for (let index = busy < 0 ? files.length - 1 : busy; index >= 0; index--) {
      const file = files[index]
      if (file === undefined) continue
      const before = file.scanned
      const end = this.#readFile(file)
      isNew ||= file.scanned !== before
      this.#isUnfinished ||= end === "more" || end === "replaced"
      this.#hasMore ||= end !== "end"
    }
    return isNew
  }

  /** Takes the next line. @param mayBeNew - whether it may be one that was never taken before */
  take(mayBeNew: boolean): SendableLine | undefined {
    for (const file of this.#files) {
      const line = file.take(mayBeNew)
      if (line !== undefined || !file.isDrained) return line
    }
    return undefined
  }

  /** Moves the current file away from outbox.jsonl; processes that have it open may continue to append. */
  moveOut(): void {
    const file = this.#current
    if (file === undefined) return
    this.#taken.moveOut(file.generation)
    this.#current = undefined
    const other = this.#taken.finishMove(file.generation, (stats) => isSameInode(stats, file.inode))
    if (other !== undefined) this.#openLinked(other)
    file.isLinked ||= other === undefined
    this.checkCurrent()
  }

  /** Deletes a file that no process appends to. @throws the system error */
  delete(file: OutboxFile): void {
    if (file.isLinked) this.#taken.remove(file.generation)
    this.#files = this.#files.filter((other) => other !== file)
    file.close()
  }

  close(): void {
    for (const file of this.#files) file.close()
    this.#files = []
    this.#current = undefined
  }

  #readFile(file: OutboxFile): SplitEnd {
    let end: SplitEnd = "end"
    this.#options.problems.attempt("outbox.jsonl", "read on", () => {
      end = file.read(this.#options.nowMs())
      if (end === "replaced") this.#beginGeneration(file)
    })
    return end
  }

  /** Begins a new generation of a file that was emptied in place. The old one keeps the lines it read. */
  #beginGeneration(replaced: OutboxFile): void {
    const { generation, inode, isLinked } = replaced
    const fd = replaced.giveFile()
    const file = this.#create(this.#renew({ generation, inode, fd, start: 0, isLinked, isSaved: false }))
    if (this.#current === replaced) this.#current = file
    this.#files = this.#files.flatMap((other) => (other === replaced ? [replaced, file] : other))
  }

  #statOrCreate(): BigIntStats {
    this.#current = undefined
    let stats = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) {
      this.#taken.ensure()
      // Without O_EXCL: a writer's `>>` may have created the file meanwhile.
      closeSync(openPlain(this.#path, constants.O_CREAT | constants.O_RDONLY))
      stats = lstatSync(this.#path, { bigint: true })
    }
    if (!stats.isFile()) throw notPlain(stats)
    return stats
  }

  #adopt(): OutboxFile {
    const generation = this.#savedGeneration() ?? newGeneration()
    const start = this.#copiedBytes()
    // Linked before it is opened: on an overlay file system the link copies the file up, to another inode.
    if (!this.#taken.link(generation)) return this.#open(generation, { isLinked: false, start })
    try {
      return this.#open(generation, { isLinked: true, start })
    } catch (error) {
      this.#taken.remove(generation)
      throw error
    }
  }

  /** Returns the generation under which an earlier process saved progress in the file at outbox.jsonl. */
  #savedGeneration(): string | undefined {
    const stats = lstatSync(this.#path, { bigint: true })
    return Array.from(this.#marks.values()).find((mark) => isInodeOf(stats, mark))?.generation
  }

  /**
   * Returns how many bytes of outbox.jsonl are in another file too. A copy without its hard links (`cp -r`) has two files
   * where the original has one; the lines in both must be sent once.
   */
  #copiedBytes(): number {
    if (this.#copies.size === 0) return 0
    const common = withFile(this.#path, (fd) => [...this.#copies].map((copy) => commonStart(fd, copy.fd)))
    this.#copies.clear()
    return Math.max(0, ...(common ?? []))
  }

  /**
   * Renames a link to the generation that the cursor has for its file: the file was emptied while the link could not be
   * renamed. Otherwise the name of the link counts.
   * @throws the system error
   */
  #repairLink(generation: string): string {
    const stats = lstatSync(this.#taken.pathOf(generation), { bigint: true })
    const unlinked = [...this.#marks.values()].filter((mark) => mark.linked === false)
    const actual = unlinked.findLast((mark) => isInodeOf(stats, mark))?.generation ?? generation
    if (actual !== generation) this.#taken.move(generation, actual)
    return actual
  }

  /** Begins a new generation of an empty file, so that the lines of a copied directory get other ids. */
  #renewEmpty(generation: string): string {
    if (lstatSync(this.#taken.pathOf(generation)).size > 0) return generation
    const renewed = newGeneration()
    return this.#taken.rename(generation, renewed) ? renewed : generation
  }

  /** Opens the file behind a link; undefined if it is open already, or is no plain file. */
  #openLinked(generation: string): OutboxFile | undefined {
    const stats = lstatSync(this.#taken.pathOf(generation), { bigint: true })
    if (this.#find(stats) === undefined) {
      return stats.isFile() ? this.#open(generation, { isLinked: true }) : undefined
    }
    this.#taken.remove(generation)
    return undefined
  }

  /**
   * Opens a file of a generation at its first line that is not settled. The name of a link is the only source of the
   * generation, because a saved mark can be older. A file that was emptied or rewritten begins another generation.
   */
  #open(generation: string, { isLinked, start = 0 }: { isLinked: boolean; start?: number }): OutboxFile {
    const fd = openPlain(isLinked ? this.#taken.pathOf(generation) : this.#path)
    try {
      const stats = fstatSync(fd, { bigint: true })
      const mark = this.#marks.get(generation)
      const inode = { dev: stats.dev, ino: stats.ino }
      let place = {
        generation,
        inode,
        fd,
        start: mark?.offset ?? start,
        isLinked,
        isSaved: mark !== undefined,
      }
      if (mark !== undefined && (stats.size === 0n || !holdsMark(fd, mark))) place = this.#renew(place)
      this.#marks.delete(generation)
      const file = this.#create(place)
      this.#files.push(file)
      if (mark !== undefined && !isInodeOf(stats, mark)) this.#copies.add(file)
      return file
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Returns the place of the first line of the next generation of a file. */
  #renew<P extends FileOptions>(place: P): P {
    const generation = newGeneration()
    const isLinked = place.isLinked && this.#taken.rename(place.generation, generation)
    return { ...place, generation, isLinked, start: 0, isSaved: false }
  }

  #create(file: FileOptions): OutboxFile {
    const { limits, nowMs, rejected, cursor } = this.#options
    return new OutboxFile(file, limits, nowMs(), rejected, cursor)
  }

  #find(inode: Inode): OutboxFile | undefined {
    return this.#files.find((file) => !file.isReplaced && isSameInode(file.inode, inode))
  }
}

/** Returns the size of the shorter of two files if the longer one begins with it; otherwise 0. */
function commonStart(a: number, b: number): number {
  const size = Math.min(fstatSync(a).size, fstatSync(b).size)
  const chunks = [Buffer.alloc(compareBytes), Buffer.alloc(compareBytes)] as const
  for (let at = 0; at < size; at += compareBytes) {
    const length = Math.min(compareBytes, size - at)
    readSync(a, chunks[0], 0, length, at)
    readSync(b, chunks[1], 0, length, at)
    if (!chunks[0].subarray(0, length).equals(chunks[1].subarray(0, length))) return 0
  }
  return size
}

function notPlain(stats: BigIntStats): ChatError {
  const kind = stats.isSymbolicLink()
    ? "a symbolic link"
    : stats.isDirectory()
      ? "a directory"
      : "not a plain file"
  return new ChatError("FILE_FAILED", `outbox.jsonl: is ${kind}`, {
    hint: "move it away; the daemon creates a new outbox.jsonl by itself",
  })
}
