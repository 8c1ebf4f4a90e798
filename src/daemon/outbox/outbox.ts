import { basename } from "node:path"
import type { Clock } from "../../base/clock.js"
import type { ChatError } from "../../protocol/errors.js"
import { FileProblems } from "../files/file-problems.js"
import type { DaemonPaths } from "../files/paths.js"
import { OutboxCleanup } from "./files/cleanup.js"
import { OutboxCursor } from "./files/cursor.js"
import { DropDirectory } from "./files/drop-directory.js"
import { OutboxFiles } from "./files/outbox-files.js"
import { OutboxWatch } from "./files/watch.js"
import { defaultOutboxLimits, type OutboxLimits } from "./limits.js"
import { type OutboxLine, SendableLine } from "./line-queue.js"
import { RejectedLines, type Rejection } from "./rejected.js"

export type { OutboxLine } from "./line-queue.js"
export type { Rejection } from "./rejected.js"

/** Options of an {@link Outbox}. */
export interface OutboxOptions {
  readonly paths: DaemonPaths
  readonly clock: Clock
  readonly limits?: Partial<OutboxLimits>
  /** Receives the oldest file problem whenever that changes, and undefined once there is none. */
  onProblem(problem: ChatError | undefined): void
  /** @throws {ChatError} if another directory, or none, is at the outbox's path: then its files are not ours */
  readonly requireHome?: () => void
  /** Called when there are lines to {@link Outbox.take}. */
  onLines(): void
  /** Receives a line that is no valid message, after it was recorded. After a crash the same `at` may come again. */
  reject(line: Rejection): void
}

/** A line whose newline is missing. */
export interface UnfinishedLine {
  readonly bytes: number
  /** Milliseconds since the Unix epoch. */
  readonly sinceMs: number
}

/** Lines of files taken in a row before a message of outbox.d. */
const fileTurnLines = 64

/**
 * The lines to be sent: those appended to outbox.jsonl, even if it was moved or replaced since, and the messages of
 * outbox.d. Never throws for an error of the file system; it reports the problem and continues once it is solved.
 *
 * A line is taken once, and again under the same id after {@link release} or a crash, until it is settled. At most as
 * many lines are taken between two saves as a relay remembers ids.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #limits: OutboxLimits
  readonly #problems: FileProblems
  readonly #files: OutboxFiles
  readonly #drop: DropDirectory
  readonly #cursor: OutboxCursor
  readonly #rejected: RejectedLines
  readonly #cleanup: OutboxCleanup
  readonly #watch: OutboxWatch
  #isRestored = false
  #isClosed = false
  #nextRead: NodeJS.Immediate | undefined
  /** Set until the end of a turn in which activity was handled; further activity is handled then. */
  #endOfTurn: NodeJS.Immediate | undefined
  #hasMoreActivity = false
  #fileTurn = 0
  #unfinished: (UnfinishedLine & { readonly at: string; readonly isConfirmed: boolean }) | undefined

  constructor(options: OutboxOptions) {
    const { paths, clock } = options
    const limits = { ...defaultOutboxLimits, ...options.limits }
    const problems = new FileProblems((problem) => options.onProblem(problem))
    const rejected = new RejectedLines(paths, clock, problems, (rejection) => options.reject(rejection))
    const cursorOptions = {
      path: paths.outboxCursor,
      clock,
      saveMs: limits.saveMs,
      // Leaves room for the lines in flight, so that sending need not wait for a save.
      urgentLines: Math.ceil((limits.windowLines * 3) / 4),
      takeMarks: () => this.#files.readable.map((file) => file.mark()),
      onSaved: () => this.#onSaved(),
    }
    this.#options = options
    this.#limits = limits
    this.#problems = problems
    this.#rejected = rejected
    this.#cursor = new OutboxCursor(cursorOptions, problems)
    const parts = { paths, clock, limits, problems, rejected, cursor: this.#cursor }
    this.#files = new OutboxFiles({ ...parts, nowMs: () => clock.monotonic() })
    this.#drop = new DropDirectory(parts)
    this.#cleanup = new OutboxCleanup(paths, this.#files, limits, problems)
    this.#watch = new OutboxWatch(problems)
    this.#restore()
    this.#readSoon()
  }

  /** Number of lines that are read and not settled. */
  get pending(): number {
    return this.#files.all.reduce((sum, file) => sum + file.unsettled, this.#drop.unsettled)
  }

  /** Bytes of the files that are not read yet, because the lines before them wait. */
  get unreadBytes(): number {
    if (!this.#files.hasMore) return 0
    return this.#files.readable.reduce((sum, file) => sum + file.unreadBytes, 0)
  }

  /** The last line of a file if it had no newline at the last two sweeps, and when that was noticed first. */
  get unfinished(): UnfinishedLine | undefined {
    return this.#unfinished?.isConfirmed === true ? this.#unfinished : undefined
  }

  /** Takes up to `max` lines, those of one file in order. Each must be settled, in any order. */
  take(max: number): OutboxLine[] {
    const lines: OutboxLine[] = []
    while (lines.length < max) {
      const line = this.#next() ?? (this.#files.hasMore && this.#read() ? this.#next() : undefined)
      if (line === undefined) break
      lines.push(line)
    }
    this.#rejected.flush()
    return lines
  }

  /** Takes the requests in outbox.d that may overtake messages. Each must be settled. */
  takeOvertaking(): OutboxLine[] {
    return this.#drop.takeOvertaking(this.#freeLines)
  }

  /** Makes all taken, unsettled lines ready again, in order: the connection is lost. */
  release(): void {
    for (const file of this.#files.all) file.release()
    this.#drop.release()
  }

  /** Records a line that the relay refused for good, and settles it. Does not call {@link OutboxOptions.reject}. */
  rejectLine(line: OutboxLine, error: ChatError): void {
    if (!(line instanceof SendableLine)) throw new TypeError(`${line.at} is not a line of this outbox`)
    const { at, id, sha256, source } = line
    const rejection = { at, id, sha256, error, body: source.bodyOf(line) }
    this.#rejected.add(line, rejection, { isReported: true })
    this.#rejected.flush()
  }

  /** Finds missed changes, retries what failed, and moves a sent outbox away. Called once a second. */
  sweep(): void {
    if (this.#isClosed || (!this.#isRestored && !this.#restore())) return
    this.#checkCurrent()
    this.#drop.sweep()
    this.#cursor.save()
    this.#readAndReport()
    this.#lookForUnfinished()
    if (this.#cleanup.sweep(this.#options.clock.monotonic())) this.#cursor.touch()
    this.#watchAll()
  }

  /**
   * Saves progress and closes every file. Unsettled lines are found again when the outbox is opened next.
   * @param mayWrite - false to close the files only, because another daemon may use them
   */
  close(mayWrite = true): void {
    if (this.#isRestored && mayWrite) this.#cursor.save()
    this.#isClosed = true
    this.#cursor.close()
    clearImmediate(this.#nextRead)
    clearImmediate(this.#endOfTurn)
    this.#watch.close()
    this.#rejected.close()
    this.#files.close()
    this.#drop.close()
  }

  #lookForUnfinished(): void {
    const file = this.#files.readable.find(({ hasPartialLine }) => hasPartialLine)
    const at = file && `${file.generation}.${file.partialBytes.start}`
    const known = this.#unfinished
    const isSame = known?.at === at
    if (file === undefined || at === undefined) this.#unfinished = undefined
    else {
      const sinceMs = isSame && known !== undefined ? known.sinceMs : this.#options.clock.now()
      this.#unfinished = { at, bytes: file.partialBytes.bytes, sinceMs, isConfirmed: isSame }
    }
  }

  #restore(): boolean {
    this.#isRestored = this.#problems.attempt("outbox.taken", "read", () => {
      this.#files.restore(this.#cursor.load())
      this.#drop.restore()
    })
    if (!this.#isRestored) return false
    this.#drop.sweep()
    this.#checkCurrent()
    this.#watchAll()
    return true
  }

  #checkCurrent(): void {
    this.#problems.attempt("outbox.jsonl", "read", () => {
      this.#options.requireHome?.()
      this.#files.checkCurrent()
    })
    if (this.#files.readable.every((file) => file.isRecorded)) return
    this.#cursor.touch()
    this.#cursor.save()
  }

  /** Handles the first activity of a turn at once, and all further activity at its end. */
  #onActivity(): void {
    this.#hasMoreActivity = true
    if (this.#endOfTurn === undefined && !this.#isClosed) this.#handleActivity()
  }

  #handleActivity(): void {
    this.#hasMoreActivity = false
    this.#endOfTurn = setImmediate(() => {
      this.#endOfTurn = undefined
      if (this.#hasMoreActivity) this.#handleActivity()
    })
    if (this.#readAndReport()) return
    // There is no new line, so the file was deleted, moved or replaced.
    this.#checkCurrent()
    this.#watchAll()
    this.#readAndReport()
  }

  /** Reads, and reports lines to take. @returns whether anything was new */
  #readAndReport(): boolean {
    const isNew = this.#read()
    this.#rejected.flush()
    if (this.#drop.isReady || this.#files.all.some((file) => file.isReady)) this.#options.onLines()
    return isNew
  }

  #read(): boolean {
    const isNew = this.#files.read()
    if (this.#files.isUnfinished) this.#readSoon()
    return isNew
  }

  #readSoon(): void {
    this.#nextRead ??= setImmediate(() => {
      this.#nextRead = undefined
      if (!this.#isRestored) return
      this.#checkCurrent()
      this.#readAndReport()
    })
  }

  /** Number of lines that may be taken before progress is saved. */
  get #freeLines(): number {
    const { all } = this.#files
    return (
      this.#limits.windowLines - all.reduce((sum, file) => sum + file.outstanding, this.#drop.outstanding)
    )
  }

  /** Takes from the files and outbox.d in turns, so that neither delays the other for long. */
  #next(): SendableLine | undefined {
    const isDropFirst = this.#fileTurn >= fileTurnLines
    const free = this.#freeLines
    const line = (isDropFirst ? this.#drop.take(free) : undefined) ?? this.#files.take(free > 0)
    if (line === undefined) return isDropFirst ? undefined : this.#drop.take(free)
    this.#fileTurn = isDropFirst ? 0 : this.#fileTurn + 1
    return line
  }

  #onSaved(): void {
    for (const file of this.#files.readable) file.onSaved()
    if (this.#files.hasMore && !this.#isClosed) this.#readSoon()
  }

  #watchAll(): void {
    const { outboxDrop } = this.#options.paths
    const onActivity = () => this.#onActivity()
    const files = this.#files.readable.map((file) => ({
      path: this.#files.pathOf(file),
      identity: String(file.inode.ino),
      isDirectory: false,
      onActivity,
    }))
    const onName = (name: string | undefined) => {
      if (name !== undefined && name !== basename(outboxDrop)) this.#drop.onName(name)
      this.#onActivity()
    }
    this.#watch.set([...files, { path: outboxDrop, identity: "", isDirectory: true, onActivity: onName }])
  }
}
