import type { Clock } from "../../base/clock.js"
import type { Appended, Row, RowChange, Subscription, Table } from "../backbone.js"
import { updateRow } from "../update-row.js"
import { EndedTasks, TaskTimers } from "./expiry.js"
import {
  formatEndRow,
  formatTaskRow,
  parseRow,
  type QueuedTask,
  type QueueRow,
  type QueueSize,
  rowKey,
  TaskIndex,
} from "./queued-tasks.js"

export type { QueuedTask } from "./queued-tasks.js"

/** Pause before the end of a lease is handled again, after the table or the asker could not be reached. */
const retryMs = 1_000

/** Receives the changes of a queue. Called after the queue took over a change, so its getters agree with the call. */
export interface QueueListener {
  /** The task waits: it is new, was given back, or its lease ended. */
  onAvailable(task: QueuedTask): void
  /**
   * A worker has claimed the task on another relay, or here by a claim whose result was unknown. A claim that ended
   * before this relay saw it is not reported, see {@link Table.watch}.
   */
  onClaimed?(task: QueuedTask, worker: string): void
  /**
   * The worker no longer has the task: its lease ended, or it was given back, done or removed, on any relay.
   * `task` is as it was before; {@link Queue.find} returns it as it is now, or undefined if it has ended.
   */
  onReleased?(task: QueuedTask, worker: string): void
  /**
   * The lease of an answered task ended: the relay that was to send the answer and to end the task has not done so.
   * Called every second until the task is ended or its answer is withdrawn.
   */
  onOverdue?(task: AnsweredTask): void
  /** The task has expired and has no answer: {@link Queue.expire} ends it. Called every second until it is answered. */
  onExpired?(task: QueuedTask): void
  /** The task has ended on any relay; {@link Queue.endedBy} says by whom. */
  onEnded?(task: QueuedTask): void
}

/** A task with an answer. */
export type AnsweredTask = QueuedTask & Required<Pick<QueuedTask, "worker" | "answer">>

interface QueueOptions {
  readonly clock: Clock
  /** Milliseconds that a claim lasts unless it is extended; the same for all relays. */
  readonly leaseMs: number
  /** Reports whether a task is well formed; the queue leaves others out. */
  readonly isValid?: (task: QueuedTask) => boolean
}

/** A row as this relay last saw it. */
interface CachedRow {
  readonly key: string
  readonly revision: number
  /** Undefined once the task has ended. */
  readonly task: QueuedTask | undefined
  readonly endedBy: string | undefined
  readonly digest: number | undefined
}

/**
 * A queue of tasks that workers claim for one lease, on top of any table. Several relays may open a queue on a table
 * that they share: every change is a compare-and-set, so a task has one worker at a time. Every method that returns a
 * promise rejects with UNAVAILABLE when the table cannot be reached; it is safe to call it again.
 *
 * Relays need not agree on the time: each lets a lease end by its own monotonic clock, counted from when it saw the
 * claim. Only a relay that has just opened the queue uses the wall clock, and waits for at most one lease.
 */
export class Queue {
  readonly #table: Table
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #isValid: (task: QueuedTask) => boolean
  readonly #rows = new Map<string, CachedRow>()
  readonly #tasks = new TaskIndex()
  readonly #leases: TaskTimers
  readonly #expiries: TaskTimers
  readonly #ended: EndedTasks
  /** Values being written here: the table may report a change before the write returns. */
  readonly #writing = new Set<string>()
  #listener: QueueListener | undefined
  #endWatch: Subscription = () => {}
  #isOpen = false
  #isClosed = false

  private constructor(table: Table, { clock, leaseMs, isValid = () => true }: QueueOptions) {
    this.#table = table
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#isValid = isValid
    this.#leases = new TaskTimers(clock, (key) => void this.#endLease(key))
    this.#expiries = new TaskTimers(clock, (key) => this.#reportExpired(key))
    this.#ended = new EndedTasks(clock, (key) => this.#deleteEnd(key))
  }

  /** Reads the table and watches it from then on. The table must serve this queue alone. */
  static async open(table: Table, options: QueueOptions): Promise<Queue> {
    const queue = new Queue(table, options)
    queue.#endWatch = await table.watch((change) => queue.#onChange(change))
    queue.#isOpen = true
    return queue
  }

  /** Reports every change from now on; for the tasks that exist already, see {@link waiting}. */
  listen(listener: QueueListener): void {
    this.#listener = listener
  }

  /**
   * Adds a task.
   * @param topic - the kind of worker it is for, such as a role
   * @param digest - tells the task from another one of the same id; a safe integer
   * @param ttlMs - milliseconds until it expires; absent if it does not
   * @returns `isDuplicate` if a task of that id exists, or ended within the last hour, and its digest
   */
  async push(
    topic: string,
    id: string,
    value: string,
    digest?: number,
    ttlMs?: number,
  ): Promise<Pick<Appended, "isDuplicate" | "digest">> {
    const pushedTs = this.#clock.now()
    const task: QueuedTask = {
      ...{ id, topic, value, attempt: 0, pushedTs },
      ...(digest !== undefined && { digest }),
      ...(ttlMs !== undefined && { expiresTs: pushedTs + ttlMs }),
    }
    const key = rowKey(id)
    if ((await this.#put(key, formatTaskRow(task), 0)) !== undefined) return { isDuplicate: false }
    const first = (await this.#find(key))?.digest
    return { isDuplicate: true, ...(first !== undefined && { digest: first }) }
  }

  /**
   * Gives a waiting task to a worker for one lease.
   * @returns the task as it is now, or undefined when it is not waiting, or has another topic
   */
  async claim(topic: string, worker: string, id: string): Promise<QueuedTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const waits = (task: QueuedTask) => task.topic === topic && task.worker === undefined
    const claimed = (task: QueuedTask) => ({ ...task, attempt: task.attempt + 1, worker, leaseUntil })
    const before = await this.#change(id, waits, (task) => formatTaskRow(claimed(task)))
    return before && claimed(before)
  }

  /** Restarts the lease. @returns false when this worker does not have the task */
  async extend(id: string, worker: string): Promise<boolean> {
    const leaseUntil = this.#leaseEnd
    const before = await this.#change(id, ownedBy(worker), (task) => formatTaskRow({ ...task, leaseUntil }))
    return before !== undefined
  }

  /**
   * Stores the answer of the worker and restarts its lease. From now on no other worker gets the task, even if this
   * process ends: see {@link QueueListener.onOverdue}.
   * @returns the task with its answer, the first one if there are several; undefined as for {@link done}
   */
  async answer(id: string, worker: string, answer: string): Promise<AnsweredTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const answered = (task: QueuedTask) => ({ answer, ...task, worker, leaseUntil })
    const before = await this.#change(id, ownedBy(worker), (task) => formatTaskRow(answered(task)))
    return before && answered(before)
  }

  /**
   * Gives a task that has no answer one, in the name of `worker`, whoever has it now.
   * @returns the task with its answer; undefined if it was answered or has ended
   */
  async expire(id: string, worker: string, answer: string): Promise<AnsweredTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const isOpen = (task: QueuedTask) => !isAnswered(task)
    const answered = (task: QueuedTask) => ({ ...task, worker, leaseUntil, answer })
    const before = await this.#change(id, isOpen, (task) => formatTaskRow(answered(task)))
    return before && answered(before)
  }

  /** Removes an answer that cannot be sent; the worker still has the task. */
  async withdraw(id: string, worker: string): Promise<void> {
    await this.#change(id, ownedBy(worker), ({ answer: _answer, ...task }) => formatTaskRow(task))
  }

  /** Ends a task. @returns the task, or undefined when this worker does not have it */
  async done(id: string, worker: string): Promise<QueuedTask | undefined> {
    return await this.#change(id, ownedBy(worker), (task) => formatEndRow(task, this.#clock.now(), worker))
  }

  /**
   * Takes a task from its worker, so that it waits again.
   * @returns the task as it was; undefined as for {@link done}, and when it is answered
   */
  async giveBack(id: string, worker: string): Promise<QueuedTask | undefined> {
    const fits = (task: QueuedTask) => task.worker === worker && !isAnswered(task)
    return await this.#change(id, fits, (task) => formatTaskRow(unclaimed(task)))
  }

  /** Gives a task that has no answer yet to another worker, with a new lease. @returns the task; undefined as for {@link done} */
  async passOn(id: string, from: string, to: string): Promise<QueuedTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const passed = (task: QueuedTask) => ({ ...task, worker: to, leaseUntil })
    const fits = (task: QueuedTask) => task.worker === from && !isAnswered(task)
    const before = await this.#change(id, fits, (task) => formatTaskRow(passed(task)))
    return before && passed(before)
  }

  /** Ends a waiting task. @returns the task as it was, or undefined when it is not waiting */
  async remove(id: string): Promise<QueuedTask | undefined> {
    const waits = (task: QueuedTask) => task.worker === undefined
    return await this.#change(id, waits, (task) => formatEndRow(task, this.#clock.now()))
  }

  /** Ends a task that is not answered, also one that a worker has. @returns the task as it was */
  async abandon(id: string): Promise<QueuedTask | undefined> {
    const isOpen = (task: QueuedTask) => !isAnswered(task)
    return await this.#change(id, isOpen, (task) => formatEndRow(task, this.#clock.now()))
  }

  /** Reports whether a task exists or ended within the last hour; reads the table if it is not cached. */
  async knows(id: string): Promise<boolean> {
    return (await this.#find(rowKey(id))) !== undefined
  }

  /** Returns the waiting tasks of a topic, oldest first. */
  waiting(topic: string): QueuedTask[] {
    return [...this.#tasks.waiting(topic)]
  }

  /** Returns the claimed tasks, of one topic or of all, oldest first. */
  claimed(topic?: string): QueuedTask[] {
    return this.#tasks.claimed(topic)
  }

  /** Yields all tasks, in no order. */
  *all(): Iterable<QueuedTask> {
    for (const { task } of this.#rows.values()) if (task !== undefined) yield task
  }

  /** Returns a task from the cache. */
  find(id: string): QueuedTask | undefined {
    return this.#rows.get(rowKey(id))?.task
  }

  /** Returns a task; reads the table if it is not cached. */
  async fetch(id: string): Promise<QueuedTask | undefined> {
    return (await this.#find(rowKey(id)))?.task
  }

  /** Returns the tasks of a worker, of all topics, oldest first. */
  heldBy(worker: string): QueuedTask[] {
    return this.#tasks.heldBy(worker)
  }

  /** Returns the worker that was {@link done} with a task, for as long as that is remembered. */
  endedBy(id: string): string | undefined {
    return this.#rows.get(rowKey(id))?.endedBy
  }

  get size(): QueueSize {
    return this.#tasks.size
  }

  /** Stops the listener and the lease timers; the tasks stay in the table. */
  close(): void {
    this.#isClosed = true
    this.#endWatch()
    this.#ended.close()
    this.#leases.close()
    this.#expiries.close()
  }

  get #leaseEnd(): number {
    return this.#clock.now() + this.#leaseMs
  }

  /**
   * Changes a task for which `fits` holds.
   * @param next - returns the new value of its row
   * @returns the task as it was, or undefined when `fits` does not hold for the row in the table
   */
  async #change(
    id: string,
    fits: (task: QueuedTask) => boolean,
    next: (task: QueuedTask) => string,
  ): Promise<QueuedTask | undefined> {
    const key = rowKey(id)
    const cached = this.#rows.get(key)
    if (cached !== undefined && cached.task === undefined) return undefined
    if (cached?.task !== undefined && fits(cached.task)) {
      if (await this.#put(key, next(cached.task), cached.revision)) return cached.task
    }
    // The cache may lag behind other relays: the row itself decides.
    const table = {
      get: () => this.#refresh(key),
      put: (_key: string, value: string, expected = 0) => this.#put(key, value, expected),
      delete: () => Promise.resolve(false),
    }
    const { result } = await updateRow(
      table,
      key,
      (row) => {
        const task = row && this.#parse(key, row.value)?.task
        return task !== undefined && fits(task) ? { result: task, value: next(task) } : { result: undefined }
      },
      { what: "task" },
    )
    return result
  }

  /** Returns a row; reads the table if it is not cached. */
  async #find(key: string): Promise<CachedRow | undefined> {
    if (!this.#rows.has(key)) await this.#refresh(key)
    return this.#rows.get(key)
  }

  /** Reads a row from the table into the cache. */
  async #refresh(key: string): Promise<Row | undefined> {
    const cached = this.#rows.get(key)
    const row = await this.#table.get(key)
    if (row !== undefined) this.#take(row)
    else if (cached !== undefined && this.#rows.get(key) === cached) this.#forget(cached)
    return row
  }

  /** @returns the new revision, or undefined when the row is not as expected */
  async #put(key: string, value: string, expected: number): Promise<number | undefined> {
    this.#writing.add(value)
    try {
      const revision = await this.#table.put(key, value, expected)
      if (revision !== undefined) this.#take({ key, value, revision })
      return revision
    } finally {
      this.#writing.delete(value)
    }
  }

  #onChange(change: RowChange): void {
    const cached = this.#rows.get(change.key)
    if (change.value !== undefined) this.#take(change as RowChange & { value: string })
    else if (cached !== undefined && cached.revision <= change.revision) this.#forget(cached)
  }

  /** Caches a row, unless a newer version is cached. */
  #take({ key, value, revision }: { key: string; value: string; revision: number }): void {
    const before = this.#rows.get(key)
    const row = this.#parse(key, value)
    if (this.#isClosed || row === undefined || (before?.revision ?? -1) >= revision) return
    const { task, endedTs = 0, endedBy, digest } = row
    this.#rows.set(key, { key, revision, task, endedBy, digest })
    if (before?.task !== undefined) this.#tasks.remove(before.task)
    if (task !== undefined) this.#tasks.add(task)
    else this.#ended.remember(key, endedTs)
    this.#setLease(key, task)
    this.#setExpiry(key, task, before === undefined)
    this.#report(before?.task, task, this.#writing.has(value))
  }

  /** @returns undefined for a malformed row */
  #parse(key: string, value: string): QueueRow | undefined {
    const row = parseRow(value)
    if (row === undefined || rowKey(row.id) !== key) return undefined
    return row.task === undefined || this.#isValid(row.task) ? row : undefined
  }

  #forget({ key, task }: CachedRow): void {
    this.#rows.delete(key)
    this.#ended.forget(key)
    if (task !== undefined) this.#tasks.remove(task)
    this.#leases.cancel(key)
    this.#expiries.cancel(key)
    this.#report(task, undefined, false)
  }

  #report(before: QueuedTask | undefined, after: QueuedTask | undefined, isOwn: boolean): void {
    const listener = this.#isClosed ? undefined : this.#listener
    if (listener === undefined) return
    const isSame = isSameClaim(before, after)
    if (before?.worker !== undefined && !isSame) listener.onReleased?.(before, before.worker)
    if (after === undefined) reportEnd(listener, before)
    else if (after.worker === undefined) listener.onAvailable(after)
    else if (!isSame && !isOwn) listener.onClaimed?.(after, after.worker)
  }

  #setLease(key: string, task: QueuedTask | undefined): void {
    if (task?.leaseUntil === undefined) {
      this.#leases.cancel(key)
      return
    }
    const leftMs = this.#isOpen ? this.#leaseMs : task.leaseUntil - this.#clock.now()
    this.#leases.start(key, Math.min(this.#leaseMs, Math.max(0, leftMs)))
  }

  /** Like a lease, an expiry is counted from when this relay saw the task, unless it has just opened the queue. */
  #setExpiry(key: string, task: QueuedTask | undefined, isNew: boolean): void {
    if (task?.expiresTs === undefined || isAnswered(task)) {
      this.#expiries.cancel(key)
      return
    }
    if (this.#expiries.has(key)) return
    const start = isNew && this.#isOpen && task.attempt === 0 ? task.pushedTs : this.#clock.now()
    this.#expiries.start(key, Math.max(0, task.expiresTs - start))
  }

  #reportExpired(key: string): void {
    const task = this.#rows.get(key)?.task
    if (task === undefined || isAnswered(task)) return
    this.#expiries.start(key, retryMs)
    this.#listener?.onExpired?.(task)
  }

  async #endLease(key: string): Promise<void> {
    const cached = this.#rows.get(key)
    if (cached?.task?.worker === undefined) return
    if (isAnswered(cached.task)) {
      this.#leases.start(key, retryMs)
      this.#listener?.onOverdue?.(cached.task)
      return
    }
    try {
      const revision = await this.#put(key, formatTaskRow(unclaimed(cached.task)), cached.revision)
      if (revision === undefined) await this.#refresh(key)
    } catch {
      // The table cannot be reached: the lease ends later, unless the row changes first.
      if (this.#rows.get(key) === cached) this.#leases.start(key, retryMs)
    }
  }

  #deleteEnd(key: string): void {
    const cached = this.#rows.get(key)
    // If the row changed or the table cannot be reached, the next sweep tries again.
    if (cached !== undefined) this.#table.delete(key, cached.revision).catch(() => {})
  }
}

function reportEnd(listener: QueueListener, before: QueuedTask | undefined): void {
  if (before !== undefined) listener.onEnded?.(before)
}

function isSameClaim(a: QueuedTask | undefined, b: QueuedTask | undefined): boolean {
  return a?.worker === b?.worker && a?.attempt === b?.attempt
}

function ownedBy(worker: string): (task: QueuedTask) => boolean {
  return (task) => task.worker === worker
}

function isAnswered(task: QueuedTask): task is AnsweredTask {
  return task.worker !== undefined && task.answer !== undefined
}

function unclaimed({ worker: _worker, leaseUntil: _leaseUntil, ...task }: QueuedTask): QueuedTask {
  return task
}
