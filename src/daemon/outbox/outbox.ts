import { hash } from "node:crypto"
import { basename } from "node:path"
import type { Clock } from "../../base/clock.js"
import type { ChatError } from "../../protocol/errors.js"
import type { DaemonPaths } from "../files/paths.js"
import { OutboxCursor } from "./files/cursor.js"
import { OutboxDrop } from "./files/drop-directory.js"
import type { OutboxFile, RefusedLine } from "./files/outbox-file.js"
import { OutboxFiles } from "./files/outbox-files.js"
import { OutboxReader } from "./files/reader.js"
import { OutboxUpkeep } from "./files/upkeep.js"
import { OutboxWatch } from "./files/watch.js"
import { defaultOutboxLimits, type OutboxLimits } from "./limits.js"
import { type OutboxLine, SendableLine } from "./line-queue.js"
import { OutboxProblems } from "./problems.js"
import { RejectedLog, type Rejection } from "./rejected.js"
import { OutboxRejections } from "./rejections.js"

export type { OutboxLine } from "./line-queue.js"
export type { Rejection } from "./rejected.js"

/** How an outbox is opened. */
export interface OutboxOptions {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly limits?: Partial<OutboxLimits>
  /** Told when something of the file system is in the way, when that changes, and with undefined when it is gone. */
  onProblem(problem: ChatError | undefined): void
  /** There are lines to {@link Outbox.take}. */
  onLines(): void
  /** A line was no message and stands in rejected.jsonl. After a crash the same `at` may be told again. */
  reject(line: Rejection): void
}

/** Lines of files handed out before a message of outbox.d has its turn. */
const turnLines = 64

/**
 * Everything anybody wrote to be sent: the lines of outbox.jsonl, in whatever file they stand by now, and the
 * messages of outbox.d. Never throws for what the file system refuses; it reports, and goes on when it can.
 *
 * A line is handed out once, and again under the same id after {@link release} or a crash, until it is settled.
 * No more lines than a relay remembers the ids of are ever handed out beyond what is saved as settled.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #limits: OutboxLimits
  readonly #problems: OutboxProblems
  readonly #files: OutboxFiles
  readonly #reader: OutboxReader
  readonly #drop: OutboxDrop
  readonly #cursor: OutboxCursor
  readonly #rejections: OutboxRejections
  readonly #upkeep: OutboxUpkeep
  readonly #watch: OutboxWatch
  #isRestored = false
  #isClosed = false
  #again: NodeJS.Immediate | undefined
  /** Set for the rest of a turn in which activity was answered; then whether there was more of it. */
  #calm: NodeJS.Immediate | undefined
  #isStirred = false
  #unsaved = 0
  #served = 0

  static open(options: OutboxOptions): Outbox {
    return new Outbox(options)
  }

  private constructor(options: OutboxOptions) {
    const { paths, clock } = options
    this.#options = options
    this.#limits = { ...defaultOutboxLimits, ...options.limits }
    const limits = this.#limits
    this.#problems = new OutboxProblems((problem) => options.onProblem(problem))
    const onSettled = () => this.#onSettled()
    this.#rejections = new OutboxRejections(new RejectedLog(paths, clock), this.#problems, (rejection) =>
      options.reject(rejection),
    )
    const nowMs = () => clock.monotonic()
    this.#files = new OutboxFiles(paths, limits, nowMs, {
      onRefused: (file, refused) => this.#onRefused(file, refused),
      onSettled,
    })
    this.#reader = new OutboxReader(this.#files, this.#problems, nowMs)
    this.#drop = new OutboxDrop({ paths, clock, limits }, this.#problems, {
      onRefused: (line, rejection) => this.#rejections.add(line, rejection),
      onOversize: (line, error, fd) => this.#rejections.addOversize(line, error, fd),
      onSettled,
    })
    this.#cursor = new OutboxCursor(
      { path: paths.outboxCursor, clock, saveMs: limits.saveMs },
      this.#problems,
      {
        mark: () => this.#files.kept.map((file) => file.mark()),
        onSaved: () => this.#onSaved(),
      },
    )
    this.#upkeep = new OutboxUpkeep(paths, this.#files, limits, this.#problems)
    this.#watch = new OutboxWatch(this.#problems)
    this.#restore()
    this.#readSoon()
  }

  /** Lines that are known and not settled. */
  get pending(): number {
    return this.#files.all.reduce((sum, file) => sum + file.unsettled, this.#drop.unsettled)
  }

  /** Hands out up to `max` lines, those of one file in its order. Each must be settled, in any order. */
  take(max: number): OutboxLine[] {
    const lines: OutboxLine[] = []
    while (lines.length < max) {
      const line = this.#next() ?? (this.#reader.hasMore && this.#read() ? this.#next() : undefined)
      if (line === undefined) break
      lines.push(line)
    }
    this.#rejections.retry()
    return lines
  }

  /** The connection is lost: whatever is taken and not settled will be handed out again, in order. */
  release(): void {
    for (const file of this.#files.all) file.release()
    this.#drop.release()
  }

  /** The relay refused a line for good: puts it in rejected.jsonl and settles it. {@link OutboxOptions.reject} is not called. */
  rejectLine(line: OutboxLine, error: ChatError): void {
    if (!(line instanceof SendableLine)) throw new TypeError(`${line.at} is no line of this outbox`)
    const { at, id, sha256 } = line
    this.#rejections.add(line, { at, id, sha256, error, body: line.body() }, { isTold: false })
    this.#rejections.retry()
  }

  /** The once-a-second safety net: finds what no event told of, tries again what failed, clears what is sent. */
  sweep(): void {
    if (this.#isClosed || (!this.#isRestored && !this.#restore())) return
    this.#checkLive()
    this.#drop.sweep()
    this.#cursor.save()
    this.#look()
    if (this.#upkeep.sweep(this.#options.clock.monotonic())) this.#cursor.touch(false)
    this.#watchAll()
  }

  /** Saves progress and lets go of every file. Lines that are not settled are found again by the next one. */
  close(): void {
    if (this.#isRestored) this.#cursor.save()
    this.#isClosed = true
    this.#cursor.stop()
    clearImmediate(this.#again)
    clearImmediate(this.#calm)
    this.#watch.close()
    this.#rejections.close()
    this.#files.close()
    this.#drop.close()
  }

  #restore(): boolean {
    this.#isRestored = this.#problems.attempt("outbox.taken", "read", () => {
      this.#files.restore(this.#cursor.load())
      this.#drop.restore()
    })
    if (!this.#isRestored) return false
    this.#drop.sweep()
    this.#checkLive()
    this.#watchAll()
    return true
  }

  #checkLive(): void {
    this.#problems.attempt("outbox.jsonl", "read", () => this.#files.checkLive())
    if (this.#files.kept.every((file) => file.isRecorded)) return
    this.#cursor.touch(false)
    this.#cursor.save()
  }

  #onActivity(): void {
    this.#isStirred = true
    if (this.#calm !== undefined || this.#isClosed) return
    this.#answerActivity()
  }

  /** At once, and once more at the end of the turn if there was more of it meanwhile. */
  #answerActivity(): void {
    this.#isStirred = false
    this.#calm = setImmediate(() => {
      this.#calm = undefined
      if (this.#isStirred) this.#answerActivity()
    })
    if (this.#look()) return
    // No new line: then somebody deleted, moved or replaced it.
    this.#checkLive()
    this.#watchAll()
    this.#look()
  }

  /** Reads, and tells when there are lines to take. @returns whether anything was new */
  #look(): boolean {
    const isNew = this.#read()
    this.#rejections.retry()
    if (this.#drop.isReady || this.#files.all.some((file) => file.isReady)) this.#options.onLines()
    return isNew
  }

  #read(): boolean {
    const isNew = this.#reader.read()
    if (this.#reader.isUnfinished) this.#readSoon()
    return isNew
  }

  #readSoon(): void {
    this.#again ??= setImmediate(() => {
      this.#again = undefined
      if (!this.#isRestored) return
      this.#checkLive()
      this.#look()
    })
  }

  /** How many lines may be handed out before progress is saved. */
  get #room(): number {
    const outstanding = this.#files.all.reduce((sum, file) => sum + file.outstanding, this.#drop.outstanding)
    return this.#limits.windowLines - outstanding
  }

  /** Files and outbox.d in turns, so that neither keeps the other waiting for long. */
  #next(): SendableLine | undefined {
    const isDropFirst = this.#served >= turnLines
    const room = this.#room
    const line = (isDropFirst ? this.#drop.take(room) : undefined) ?? this.#reader.next(room > 0)
    if (line === undefined) return isDropFirst ? undefined : this.#drop.take(room)
    this.#served = isDropFirst ? 0 : this.#served + 1
    return line
  }

  #onRefused(file: OutboxFile, { line, error, bytes }: RefusedLine): void {
    if (bytes === undefined) this.#rejections.addOversize(line, error, file.fd)
    else {
      const { at, id } = line
      this.#rejections.add(line, { at, id, sha256: hash("sha256", bytes, "hex"), error, body: bytes })
    }
  }

  #onSettled(): void {
    if (this.#isClosed) return
    this.#unsaved++
    this.#cursor.touch(this.#unsaved >= this.#limits.windowLines / 2)
  }

  #onSaved(): void {
    this.#unsaved = 0
    for (const file of this.#files.kept) file.onSaved()
    if (this.#reader.hasMore && !this.#isClosed) this.#readSoon()
  }

  #watchAll(): void {
    const { outboxDrop } = this.#options.paths
    const onActivity = () => this.#onActivity()
    const files = this.#files.kept.map((file) => ({
      path: this.#files.nameOf(file),
      identity: String(file.inode.ino),
      onActivity,
    }))
    const onName = (name: string | undefined) => {
      if (name !== undefined && name !== basename(outboxDrop)) this.#drop.onName(name)
      this.#onActivity()
    }
    this.#watch.set([...files, { path: outboxDrop, identity: "", onActivity: onName }])
  }
}
