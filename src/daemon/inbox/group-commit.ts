import { fdatasync } from "node:fs"

/** Ids in one RECEIVED frame, however long they are. */
const maxBatch = 1_000

/** A line that is not known to be on disk yet. */
export interface CommitEntry {
  readonly msgId: string | undefined
  /** Opaque; handed back in {@link DurableBatch}. */
  readonly mark: unknown
  /** Number of the line, set once it is in the file; a duplicate has none. */
  seq?: number
}

/** Lines that survive a power cut: their message ids and their marks, each list in the order of the file. */
export interface DurableBatch {
  readonly msgIds: readonly string[]
  readonly marks: readonly unknown[]
  /** `seq` of the line of each mark; undefined for a duplicate, whose line is an earlier one. */
  readonly seqs: readonly (number | undefined)[]
}

/** Receives the results of group commits. */
export interface CommitEvents {
  /** Called with at most 1,000 lines at a time. */
  onDurable(batch: DurableBatch): void
  /**
   * Called when fdatasync fails. It is unknown which lines are lost, so nothing is synced before {@link
   * GroupCommit.settle}.
   */
  onFailed(error: Error): void
}

/** Syncs written lines to disk: one fdatasync at a time, each for everything written before it began. */
export class GroupCommit {
  readonly #events: CommitEvents
  #waiting: readonly CommitEntry[] = []
  #inFlight: readonly CommitEntry[] | undefined
  /** True at first: an earlier process may have been killed between its write and its fdatasync. */
  #isDirty = true
  #hasFailed = false
  #onIdle: (() => void)[] = []

  constructor(events: CommitEvents) {
    this.#events = events
  }

  /** Number of entries not yet known to be on disk. */
  get waiting(): number {
    return this.#waiting.length + (this.#inFlight?.length ?? 0)
  }

  /**
   * Adds the entries of the lines that were appended to `fd`.
   * @param hasWritten - false if no bytes were written, because all entries are duplicates
   */
  add(fd: number, entries: readonly CommitEntry[], hasWritten: boolean): void {
    this.#waiting = this.#waiting.length === 0 ? entries : this.#waiting.concat(entries)
    this.#isDirty ||= hasWritten
    this.#next(fd)
  }

  /** Resolves when no fdatasync is running, so that the descriptor may be closed. */
  idle(): Promise<void> {
    if (!this.#isSyncing) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  /** Reports everything written so far as durable, because it was synced elsewhere. Call it only when {@link idle}. */
  settle(): void {
    this.#hasFailed = false
    this.#isDirty = false
    const entries = this.#waiting
    this.#waiting = []
    this.#report(entries)
  }

  get #isSyncing(): boolean {
    return this.#inFlight !== undefined
  }

  #next(fd: number): void {
    if (this.#hasFailed || this.#isSyncing) return
    if (this.#isDirty) this.#sync(fd)
    else if (this.#waiting.length > 0) this.settle()
  }

  #sync(fd: number): void {
    const entries = this.#waiting
    this.#inFlight = entries
    this.#waiting = []
    this.#isDirty = false
    fdatasync(fd, (error) => {
      this.#inFlight = undefined
      if (error === null) {
        this.#report(entries)
        this.#next(fd)
      } else {
        this.#waiting = entries.concat(this.#waiting)
        this.#hasFailed = true
        this.#events.onFailed(error)
      }
      if (!this.#isSyncing) for (const resolve of this.#onIdle.splice(0)) resolve()
    })
  }

  #report(entries: readonly CommitEntry[]): void {
    for (let from = 0; from < entries.length; from += maxBatch) {
      const some = entries.slice(from, from + maxBatch)
      const msgIds = some.map(({ msgId }) => msgId).filter((msgId) => msgId !== undefined)
      const marked = some.filter(({ mark }) => mark !== undefined)
      if (msgIds.length + marked.length === 0) continue
      this.#events.onDurable({
        msgIds,
        marks: marked.map(({ mark }) => mark),
        seqs: marked.map(({ seq }) => seq),
      })
    }
  }
}
