import { fdatasync } from "node:fs"
import type { Receipt } from "./queue.js"

// What one RECEIVED frame can name, however long the ids are.
const reportedAtOnce = 1_000

/** Lines that survive a power cut: the ids and marks they came with, each list in the order of the file. */
export interface SafeBatch {
  readonly msgIds: readonly string[]
  readonly marks: readonly unknown[]
  /** `seq` of the line of each mark; undefined for a double, whose line is an earlier one. */
  readonly seqs: readonly (number | undefined)[]
}

/** Who hears of the group commits of one file. */
export interface CommitEvents {
  /** At most 1,000 lines at a time. */
  onSafe(batch: SafeBatch): void
  /** The disk refused. What it lost cannot be known, so only {@link InboxCommit.settle} ends this. */
  onFailed(error: Error): void
}

/** Makes written lines safe: one fdatasync at a time, each for everything written before it began. */
export class InboxCommit {
  readonly #events: CommitEvents
  #waiting: readonly Receipt[] = []
  #inFlight: readonly Receipt[] | undefined
  // A process before this one may have been killed between its write and its fdatasync.
  #isDirty = true
  #isBroken = false
  #onIdle: (() => void)[] = []

  constructor(events: CommitEvents) {
    this.#events = events
  }

  /** Receipts that wait for the disk. */
  get waiting(): number {
    return this.#waiting.length + (this.#inFlight?.length ?? 0)
  }

  /**
   * Takes the receipts of what was appended to `fd`.
   * @param wrote - false when no bytes were: then the receipts stand behind lines of earlier calls
   */
  add(fd: number, receipts: readonly Receipt[], wrote: boolean): void {
    this.#waiting = this.#waiting.length === 0 ? receipts : this.#waiting.concat(receipts)
    this.#isDirty ||= wrote
    this.#next(fd)
  }

  /** Resolves when no fdatasync is under way; the descriptor may be closed then. */
  idle(): Promise<void> {
    if (!this.#isRunning) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  /** Everything written so far is safe by other means. Call only when {@link idle}. */
  settle(): void {
    this.#isBroken = false
    this.#isDirty = false
    const receipts = this.#waiting
    this.#waiting = []
    this.#report(receipts)
  }

  get #isRunning(): boolean {
    return this.#inFlight !== undefined
  }

  #next(fd: number): void {
    if (this.#isBroken || this.#isRunning) return
    if (this.#isDirty) this.#sync(fd)
    else if (this.#waiting.length > 0) this.settle()
  }

  #sync(fd: number): void {
    const receipts = this.#waiting
    this.#inFlight = receipts
    this.#waiting = []
    this.#isDirty = false
    fdatasync(fd, (error) => {
      this.#inFlight = undefined
      if (error === null) {
        this.#report(receipts)
        this.#next(fd)
      } else {
        this.#waiting = receipts.concat(this.#waiting)
        this.#isBroken = true
        this.#events.onFailed(error)
      }
      if (!this.#isRunning) for (const resolve of this.#onIdle.splice(0)) resolve()
    })
  }

  #report(receipts: readonly Receipt[]): void {
    for (let from = 0; from < receipts.length; from += reportedAtOnce) {
      const some = receipts.slice(from, from + reportedAtOnce)
      const msgIds = some.map(({ msgId }) => msgId).filter((msgId) => msgId !== undefined)
      const marked = some.filter(({ mark }) => mark !== undefined)
      if (msgIds.length + marked.length === 0) continue
      this.#events.onSafe({
        msgIds,
        marks: marked.map(({ mark }) => mark),
        seqs: marked.map(({ seq }) => seq),
      })
    }
  }
}
