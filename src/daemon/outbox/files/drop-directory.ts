import { hash } from "node:crypto"
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
} from "node:fs"
import { join } from "node:path"
import type { Clock } from "../../../base/clock.js"
import { ChatError } from "../../../protocol/errors.js"
import type { DaemonPaths } from "../../files/paths.js"
import type { OutboxLimits } from "../limits.js"
import { readOutboxLine } from "../line.js"
import { type LineOwner, LineQueue, QueuedLine, SendableLine } from "../line-queue.js"
import { isFileError, type OutboxProblems } from "../problems.js"
import type { Rejection } from "../rejected.js"
import { makeDirectory } from "./directory.js"
import { newGeneration } from "./generation.js"

/** What the drop tells its outbox. */
export interface DropEvents {
  onRefused(line: QueuedLine, rejection: Rejection): void
  /** The same for a file too large for memory; `fd` is open until the line is settled. */
  onOversize(line: QueuedLine, error: ChatError, fd: number): void
  onSettled(): void
}

const hint = "move it away; the daemon makes a new outbox.d by itself"
/** A file younger than this that is no message yet may still be written to. */
const ripeMs = 2_000
const takenPattern = /^(d-[0-9a-z]{10})\.json$/
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * outbox.d/: each file put there is one message. It is taken by renaming it to `outbox.taken/ID.json`, so that
 * its id outlives a crash and its old name is free for the next one; it is removed once settled.
 */
export class OutboxDrop implements LineOwner {
  readonly #paths: DaemonPaths
  readonly #clock: Clock
  readonly #limits: OutboxLimits
  readonly #problems: OutboxProblems
  readonly #events: DropEvents
  readonly #queue = new LineQueue()
  /** Names seen in outbox.d, in the order they will be taken. */
  readonly #names = new Set<string>()
  /** Ids that were taken and not read: by an earlier process, or when the disk refused. */
  #unread: string[] = []
  #isStuck = false
  /** Open files of messages too large for memory. */
  readonly #large = new Map<string, number>()
  /** Settled, and not removed yet. */
  #unremoved: string[] = []
  #listedMs: number | undefined

  constructor(
    place: { paths: DaemonPaths; clock: Clock; limits: OutboxLimits },
    problems: OutboxProblems,
    events: DropEvents,
  ) {
    this.#paths = place.paths
    this.#clock = place.clock
    this.#limits = place.limits
    this.#problems = problems
    this.#events = events
  }

  /** Messages a crash now would hand out again. */
  get outstanding(): number {
    return this.#queue.unsettled + this.#unremoved.length
  }

  get unsettled(): number {
    return this.#queue.unsettled
  }

  get isReady(): boolean {
    return this.#queue.readyBytes > 0 || this.#names.size > 0 || this.#unread.length > 0
  }

  /** Finds again what an earlier process had taken. @throws what the file system refuses; may be repeated */
  restore(): void {
    makeDirectory(this.#paths.outboxDrop)
    const names = readdirSync(this.#paths.outboxTaken).flatMap((name) => takenPattern.exec(name)?.[1] ?? [])
    this.#unread = names.sort()
  }

  /** Something happened to an entry of outbox.d. */
  onName(name: string): void {
    if (name.startsWith(".") || name.endsWith(".tmp")) return
    // Taking a file away is an event too.
    if (existsSync(join(this.#paths.outboxDrop, name))) this.#names.add(name)
  }

  /** Lists outbox.d if it changed, and tries again what failed. */
  sweep(): void {
    this.#problems.attempt("outbox.d", "read", () => {
      const stats = lstatSync(this.#paths.outboxDrop, { throwIfNoEntry: false })
      if (stats === undefined) makeDirectory(this.#paths.outboxDrop)
      if (stats?.isDirectory() === false)
        throw new ChatError("FILE_FAILED", "outbox.d: is no directory", { hint })
      const { mtimeMs } = stats ?? lstatSync(this.#paths.outboxDrop)
      // A change in the very tick of the last listing leaves no trace; so a young directory is listed again.
      if (mtimeMs === this.#listedMs && mtimeMs < this.#clock.now() - ripeMs) return
      for (const name of readdirSync(this.#paths.outboxDrop).sort()) this.onName(name)
      this.#listedMs = mtimeMs
    })
    if (this.#names.size === 0) this.#problems.clear("outbox.d", "emptied")
    this.#isStuck = false
    const unremoved = this.#unremoved
    this.#unremoved = []
    for (const at of unremoved) this.#remove(at)
  }

  /** @param room - how many messages may be read */
  take(room: number): SendableLine | undefined {
    for (let left = room; ; left--) {
      const line = this.#queue.take(true)
      if (line !== undefined || left <= 0 || !this.#readNext()) return line
    }
  }

  release(): void {
    this.#queue.release()
  }

  bodyOf(line: SendableLine): string {
    return this.#takenPath(line.at)
  }

  close(): void {
    for (const fd of this.#large.values()) closeSync(fd)
    this.#large.clear()
  }

  onSettled(line: QueuedLine): void {
    this.#queue.onSettled()
    const fd = this.#large.get(line.at)
    if (fd !== undefined) closeSync(fd)
    this.#large.delete(line.at)
    this.#remove(line.at)
    this.#events.onSettled()
  }

  #remove(at: string): void {
    const isRemoved = this.#problems.attempt("outbox.taken", "emptied", () => {
      rmSync(this.#takenPath(at), { force: true, recursive: true })
    })
    if (!isRemoved) this.#unremoved.push(at)
  }

  /** Reads one more message. @returns false when there is none */
  #readNext(): boolean {
    if (this.#isStuck) return false
    const at = this.#unread.shift() ?? this.#takeFirst()
    if (at === undefined) return false
    const isRead = this.#problems.attempt("outbox.taken", "read", () => {
      this.#read(at)
    })
    if (isRead) return true
    this.#unread.unshift(at)
    this.#isStuck = true
    return false
  }

  #takeFirst(): string | undefined {
    for (const name of this.#names) {
      this.#names.delete(name)
      const taken = this.#takeName(name)
      if (taken !== undefined) return taken
    }
    return undefined
  }

  /** Takes a file out of outbox.d, unless it vanished, is not written to its end, or cannot be taken now. */
  #takeName(name: string): string | undefined {
    const path = join(this.#paths.outboxDrop, name)
    const at = `d-${newGeneration()}`
    const isTried = this.#problems.attempt("outbox.d", "emptied", () => {
      const stats = lstatSync(path, { throwIfNoEntry: false })
      if (stats !== undefined && this.#isWhole(path, stats)) renameSync(path, this.#takenPath(at))
    })
    if (isTried && existsSync(this.#takenPath(at))) return at
    // Listed again by the next sweep.
    this.#listedMs = undefined
    return undefined
  }

  /** Somebody may write here with `>` after all, instead of renaming a file in. */
  #isWhole(path: string, stats: Stats): boolean {
    if (!stats.isFile() || stats.mtimeMs < this.#clock.now() - ripeMs) return true
    if (stats.size > this.#limits.lineBytes) return false
    const file = openPlain(path)
    return typeof file === "number" && "frame" in readOutboxLine(readAndClose(file))
  }

  #read(at: string): void {
    const file = openPlain(this.#takenPath(at))
    if (file === "gone") return
    if (file === "not plain") {
      this.#refuse(at, at, Buffer.alloc(0), new ChatError("INVALID_MSG", "it is no plain file"))
      return
    }
    const size = fstatSync(file).size
    if (size > this.#limits.lineBytes) {
      this.#refuseOversize(at, file, size)
      return
    }
    const content = readAndClose(file)
    const result = readOutboxLine(content)
    if ("bad" in result) {
      this.#refuse(at, result.bad.id ?? at, content, result.bad.error)
      return
    }
    const place = { at, id: result.frame.id ?? at, start: 0, end: content.length }
    this.#queue.push(new SendableLine(this, place, hash("sha256", content, "hex"), result.frame))
  }

  #refuseOversize(at: string, fd: number, size: number): void {
    const line = new QueuedLine(this, { at, id: at, start: 0, end: size })
    this.#queue.push(line)
    this.#large.set(at, fd)
    const message = `the file has ${size} bytes, a message at most ${this.#limits.lineBytes}`
    const hint = "send it in parts, or put it in a file and send its name"
    this.#events.onOversize(line, new ChatError("INVALID_MSG", message, { hint: hint }), fd)
  }

  #refuse(at: string, id: string, content: Buffer, error: ChatError): void {
    const line = new QueuedLine(this, { at, id, start: 0, end: content.length })
    this.#queue.push(line)
    const sha256 = hash("sha256", content, "hex")
    this.#events.onRefused(line, { at, id, sha256, error, body: this.#takenPath(at) })
  }

  #takenPath(at: string): string {
    return join(this.#paths.outboxTaken, `${at}.json`)
  }
}

function openPlain(path: string): number | "gone" | "not plain" {
  let fd: number
  try {
    fd = openSync(path, readFlags)
  } catch (error) {
    if (isFileError(error) && error.code === "ENOENT") return "gone"
    if (isFileError(error) && (error.code === "ELOOP" || error.code === "ENXIO")) return "not plain"
    throw error
  }
  if (fstatSync(fd).isFile()) return fd
  closeSync(fd)
  return "not plain"
}

function readAndClose(fd: number): Buffer {
  try {
    const content = Buffer.alloc(fstatSync(fd).size)
    return content.subarray(0, readSync(fd, content, 0, content.length, 0))
  } finally {
    closeSync(fd)
  }
}
