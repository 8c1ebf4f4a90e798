import { hash } from "node:crypto"
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
} from "node:fs"
import { join } from "node:path"
import type { Clock } from "../../../base/clock.js"
import { openIfExists } from "../../../base/files.js"
import { ChatError } from "../../../protocol/errors.js"
import { type FileProblems, isFileError } from "../../files/file-problems.js"
import { ensureDirectory } from "../../files/home.js"
import type { DaemonPaths } from "../../files/paths.js"
import { mayOvertake, type OutboxLimits } from "../limits.js"
import { readOutboxLine } from "../line.js"
import { LineQueue, type LineSource, QueuedLine, SendableLine } from "../line-queue.js"
import type { RejectedLines } from "../rejected.js"
import type { OutboxCursor } from "./cursor.js"
import { tooLarge } from "./outbox-file.js"
import { newGeneration } from "./taken-directory.js"

/** The parts of an outbox that its drop directory uses. */
export interface DropOptions {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly limits: OutboxLimits
  readonly problems: FileProblems
  readonly rejected: RejectedLines
  readonly cursor: OutboxCursor
}

const hint = "move it away; the daemon creates a new outbox.d by itself"
/** Milliseconds within which a file that is no message yet may still be written to. */
const graceMs = 2_000
const takenPattern = /^(d-[0-9a-z]{10})\.json$/

/**
 * outbox.d/: each file put there is one message. It is taken by renaming it to `outbox.taken/ID.json`, so that
 * its id survives a crash and its old name is free again; it is removed once settled.
 */
export class DropDirectory implements LineSource {
  readonly #options: DropOptions
  readonly #queue = new LineQueue()
  /** Names seen in outbox.d, in the order they will be taken. */
  readonly #names = new Set<string>()
  /** Ids that were taken and not read: by an earlier process, or when the disk failed. */
  #unread: string[] = []
  #hasFailed = false
  /** Open files of messages too long for memory. */
  readonly #oversize = new Map<string, number>()
  /** Ids that are settled and not removed yet. */
  #unremoved: string[] = []
  #listedMs: number | undefined

  constructor(options: DropOptions) {
    this.#options = options
  }

  /** Number of messages that a crash now would hand out again. */
  get outstanding(): number {
    return this.#queue.unsettled + this.#unremoved.length
  }

  get unsettled(): number {
    return this.#queue.unsettled
  }

  get isReady(): boolean {
    return this.#queue.readyBytes > 0 || this.#names.size > 0 || this.#unread.length > 0
  }

  /** Finds the messages that an earlier process had taken. @throws the system error; may be repeated */
  restore(): void {
    const { paths } = this.#options
    ensureDirectory(paths.outboxDrop)
    const names = readdirSync(paths.outboxTaken).flatMap((name) => takenPattern.exec(name)?.[1] ?? [])
    this.#unread = names.sort()
  }

  /** Notes a changed entry of outbox.d. */
  onName(name: string): void {
    if (name.startsWith(".") || name.endsWith(".tmp")) return
    // The daemon's own rename of a file is reported too.
    if (existsSync(join(this.#options.paths.outboxDrop, name))) this.#names.add(name)
  }

  /** Lists outbox.d if it changed, and retries what failed. */
  sweep(): void {
    const { problems } = this.#options
    problems.attempt("outbox.d", "read", () => this.#list())
    if (this.#names.size === 0) problems.clear("outbox.d", "emptied")
    this.#hasFailed = false
    for (const at of this.#unremoved.splice(0)) this.#remove(at)
  }

  /** Takes the next message. @param maxReads - number of files that may be read */
  take(maxReads: number): SendableLine | undefined {
    for (let left = maxReads; ; left--) {
      const line = this.#queue.take(true)
      if (line !== undefined || left <= 0 || !this.#readNext()) return line
    }
  }

  /** Takes the requests that may overtake messages. @param maxReads - number of files that may be read */
  takeOvertaking(maxReads: number): SendableLine[] {
    const { readAheadBytes } = this.#options.limits
    for (let left = maxReads; left > 0 && this.#queue.readyBytes < readAheadBytes; left--) {
      if (!this.#readNext()) break
    }
    return this.#queue.takeFitting(mayOvertake)
  }

  release(): void {
    this.#queue.release()
  }

  bodyOf(line: SendableLine): string {
    return this.#takenPath(line.at)
  }

  close(): void {
    for (const fd of this.#oversize.values()) closeSync(fd)
    this.#oversize.clear()
  }

  onSettled({ at }: QueuedLine): void {
    this.#queue.onSettled()
    const fd = this.#oversize.get(at)
    if (fd !== undefined) closeSync(fd)
    this.#oversize.delete(at)
    this.#remove(at)
    this.#options.cursor.onSettled()
  }

  #list(): void {
    const { paths, clock } = this.#options
    const stats = lstatSync(paths.outboxDrop, { throwIfNoEntry: false })
    if (stats === undefined) ensureDirectory(paths.outboxDrop)
    if (stats?.isDirectory() === false) {
      throw new ChatError("FILE_FAILED", "outbox.d: is not a directory", { hint })
    }
    const { mtimeMs } = stats ?? lstatSync(paths.outboxDrop)
    // A second change within the clock's resolution keeps the same time, so a recent change is listed again.
    if (mtimeMs === this.#listedMs && mtimeMs < clock.now() - graceMs) return
    for (const name of readdirSync(paths.outboxDrop).sort()) this.onName(name)
    this.#listedMs = mtimeMs
  }

  #remove(at: string): void {
    const isRemoved = this.#options.problems.attempt("outbox.taken", "emptied", () => {
      rmSync(this.#takenPath(at), { force: true, recursive: true })
    })
    if (!isRemoved) this.#unremoved.push(at)
  }

  /** Reads one more message. @returns false when there is none */
  #readNext(): boolean {
    if (this.#hasFailed) return false
    const at = this.#unread.shift() ?? this.#takeFirst()
    if (at === undefined) return false
    const isRead = this.#options.problems.attempt("outbox.taken", "read", () => this.#read(at))
    if (isRead) return true
    this.#unread.unshift(at)
    this.#hasFailed = true
    return false
  }

  #takeFirst(): string | undefined {
    for (const name of this.#names) {
      this.#names.delete(name)
      const at = this.#takeName(name)
      if (at !== undefined) return at
    }
    return undefined
  }

  /** Moves a file out of outbox.d, unless it vanished, is incomplete, or cannot be moved now. */
  #takeName(name: string): string | undefined {
    const { paths, problems } = this.#options
    const path = join(paths.outboxDrop, name)
    const at = `d-${newGeneration()}`
    const isTried = problems.attempt("outbox.d", "emptied", () => {
      const stats = lstatSync(path, { throwIfNoEntry: false })
      if (stats !== undefined && this.#isComplete(path, stats)) renameSync(path, this.#takenPath(at))
    })
    if (isTried && existsSync(this.#takenPath(at))) return at
    // The next sweep lists it again.
    this.#listedMs = undefined
    return undefined
  }

  /** Reports whether a file can be read: some writers use `>` here instead of renaming a file in. */
  #isComplete(path: string, stats: Stats): boolean {
    const { clock, limits } = this.#options
    if (!stats.isFile() || stats.mtimeMs < clock.now() - graceMs) return true
    if (stats.size > limits.lineBytes) return false
    const file = openIfPlain(path)
    return typeof file === "number" && "frame" in readOutboxLine(readAndClose(file))
  }

  #read(at: string): void {
    const file = openIfPlain(this.#takenPath(at))
    if (file === "gone") return
    if (file === "not plain") {
      this.#reject(at, at, Buffer.alloc(0), new ChatError("INVALID_MSG", "it is not a plain file"))
      return
    }
    const size = fstatSync(file).size
    if (size > this.#options.limits.lineBytes) {
      this.#rejectOversize(at, file, size)
      return
    }
    const content = readAndClose(file)
    const result = readOutboxLine(content, at)
    if ("bad" in result) {
      this.#reject(at, result.bad.id ?? at, content, result.bad.error)
      return
    }
    const place = { at, id: result.frame.id ?? at, start: 0, end: content.length }
    this.#queue.push(new SendableLine(this, place, hash("sha256", content, "hex"), result.frame))
  }

  #rejectOversize(at: string, fd: number, size: number): void {
    const { limits, rejected } = this.#options
    const line = new QueuedLine(this, { at, id: at, start: 0, end: size })
    this.#queue.push(line)
    this.#oversize.set(at, fd)
    rejected.addOversize(line, tooLarge(`the file has ${size} bytes`, limits.lineBytes), fd)
  }

  #reject(at: string, id: string, content: Buffer, error: ChatError): void {
    const line = new QueuedLine(this, { at, id, start: 0, end: content.length })
    this.#queue.push(line)
    const sha256 = hash("sha256", content, "hex")
    this.#options.rejected.add(line, { at, id, sha256, error, body: this.#takenPath(at) })
  }

  #takenPath(at: string): string {
    return join(this.#options.paths.outboxTaken, `${at}.json`)
  }
}

function openIfPlain(path: string): number | "gone" | "not plain" {
  try {
    return openIfExists(path) ?? "gone"
  } catch (error) {
    if (isFileError(error) && ["ELOOP", "EISDIR", "EFTYPE"].includes(error.code)) return "not plain"
    throw error
  }
}

function readAndClose(fd: number): Buffer {
  try {
    const content = Buffer.alloc(fstatSync(fd).size)
    return content.subarray(0, readSync(fd, content, 0, content.length, 0))
  } finally {
    closeSync(fd)
  }
}
