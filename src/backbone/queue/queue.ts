import type { Clock } from "../../base/clock.js"
import type { Row, RowChange, Subscription, Table } from "../backbone.js"
import { updateRow } from "../update-row.js"
import { QueueEnds } from "./ends.js"
import { QueueLeases } from "./leases.js"
import { type QueuedTask, readRow, rowKey, writeEnd, writeTask } from "./row.js"
import { type QueueSize, QueueTasks } from "./tasks.js"

export type { QueuedTask } from "./row.js"

/** Pause before the end of a lease is tried again: the table could not be reached, or an answer not be told. */
const retryMs = 1_000

/** What a queue tells; called from the cache, so a look into the queue agrees with what is told. */
export interface QueueEvents {
  /**
   * This task waits: it is new, was given back, or its lease ended. Tasks that wait when the queue is opened are not
   * told: look at {@link Queue.waiting}.
   */
  onAvailable(task: QueuedTask): void
  /**
   * A worker has this task by a claim that was not given here, or of which it was not known here whether it stands.
   * One that ended before it was heard of is not told, here or below: what {@link Table.watch} tells as one is one.
   */
  onClaimed?(task: QueuedTask, worker: string): void
  /**
   * Nobody has this task any more: its lease ended, it was given back, done or removed, by whichever relay.
   * `task` is as it was while `worker` had it; {@link Queue.find} tells what became of it (undefined: it ended).
   */
  onReleased?(task: QueuedTask, worker: string): void
  /**
   * The lease of a task that is answered ended: whoever was to tell the answer and to end the task did not. Told
   * every second until it is ended, or its answer withdrawn.
   */
  onOverdue?(task: AnsweredTask): void
}

/** A task with an answer. */
export type AnsweredTask = QueuedTask & Required<Pick<QueuedTask, "worker" | "answer">>

/** A row as it was last heard of. */
interface Held {
  readonly key: string
  readonly revision: number
  /** Undefined once it ended. */
  readonly task: QueuedTask | undefined
  readonly endedBy: string | undefined
}

/**
 * Tasks that workers claim for a while, over any table. A task is claimed by one worker at a time: only
 * compare-and-set decides, so any number of relays may open a queue over one table that they share. Every method
 * that returns a promise rejects with UNAVAILABLE when the table cannot be reached; trying again is safe.
 *
 * Relays need not agree on the time: each lets a lease end by its own monotonic clock, counted from when it heard
 * of the claim. Only a relay that opens the queue goes by the wall clock, and never beyond one whole lease.
 */
export class Queue {
  readonly #table: Table
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #events: QueueEvents
  readonly #held = new Map<string, Held>()
  readonly #tasks = new QueueTasks()
  readonly #leases: QueueLeases
  readonly #ends: QueueEnds
  /** What is being written here: the table may tell it before it answers. */
  readonly #writing = new Set<string>()
  #endWatch: Subscription = () => {}
  #isOpen = false
  #isClosed = false

  private constructor(table: Table, options: { clock: Clock; leaseMs: number }, events: QueueEvents) {
    this.#table = table
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#events = events
    this.#leases = new QueueLeases(options.clock, (key) => void this.#endLease(key))
    this.#ends = new QueueEnds(options.clock, (key) => this.#deleteEnd(key))
  }

  /**
   * Reads what stands and follows it from then on. The table must serve this queue alone.
   * @param options - `leaseMs`: how long a claim lasts unless it is extended; the same for all relays
   */
  static async open(
    table: Table,
    options: { clock: Clock; leaseMs: number },
    events: QueueEvents,
  ): Promise<Queue> {
    const queue = new Queue(table, options, events)
    queue.#endWatch = await table.watch((change) => queue.#onChange(change))
    queue.#isOpen = true
    return queue
  }

  /**
   * Adds a task.
   * @param topic - what workers ask by, such as a role
   * @returns false when a task of that id stands, or ended within the last hour
   */
  async push(topic: string, id: string, value: string): Promise<boolean> {
    const task: QueuedTask = { id, topic, value, attempt: 0, pushedTs: this.#clock.now() }
    return (await this.#put(rowKey(id), writeTask(task), 0)) !== undefined
  }

  /**
   * Gives a task that waits under this topic to a worker for one lease.
   * @returns the task as it is now, or undefined when it does not wait, or not under this topic
   */
  async claim(topic: string, worker: string, id: string): Promise<QueuedTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const waits = (task: QueuedTask) => task.topic === topic && task.worker === undefined
    const claimed = (task: QueuedTask) => ({ ...task, attempt: task.attempt + 1, worker, leaseUntil })
    const before = await this.#change(id, waits, (task) => writeTask(claimed(task)))
    return before && claimed(before)
  }

  /** Begins the lease anew. @returns false when the task is not this worker's, or no longer. */
  async extend(id: string, worker: string): Promise<boolean> {
    const leaseUntil = this.#leaseEnd
    const before = await this.#change(id, ownedBy(worker), (task) => writeTask({ ...task, leaseUntil }))
    return before !== undefined
  }

  /**
   * Keeps what the worker found out, and begins its lease anew. From now on nobody else is given the task, whatever
   * becomes of this process: see {@link QueueEvents.onOverdue}.
   * @returns the task with its answer, the first one it was given; undefined as {@link done}
   */
  async answer(id: string, worker: string, answer: string): Promise<AnsweredTask | undefined> {
    const leaseUntil = this.#leaseEnd
    const answered = (task: QueuedTask) => ({ answer, ...task, worker, leaseUntil })
    const before = await this.#change(id, ownedBy(worker), (task) => writeTask(answered(task)))
    return before && answered(before)
  }

  /** Takes back an answer that cannot be told: the task is the worker's as before. */
  async withdraw(id: string, worker: string): Promise<void> {
    await this.#change(id, ownedBy(worker), ({ answer: _answer, ...task }) => writeTask(task))
  }

  /** Ends the worker's task. @returns the task, or undefined when it is not this worker's, or no longer. */
  async done(id: string, worker: string): Promise<QueuedTask | undefined> {
    return await this.#change(id, ownedBy(worker), () => writeEnd(id, this.#clock.now(), worker))
  }

  /**
   * Lets the worker's task wait again.
   * @returns the task as it was, or undefined as {@link done}, and when it is answered
   */
  async giveBack(id: string, worker: string): Promise<QueuedTask | undefined> {
    const fits = (task: QueuedTask) => task.worker === worker && !isAnswered(task)
    return await this.#change(id, fits, (task) => writeTask(unclaimed(task)))
  }

  /** Ends a task that nobody has. @returns the task as it was, or undefined when it does not wait. */
  async remove(id: string): Promise<QueuedTask | undefined> {
    const waits = (task: QueuedTask) => task.worker === undefined
    return await this.#change(id, waits, () => writeEnd(id, this.#clock.now()))
  }

  /** Whether a task of that id stands or ended within the last hour; asks the store if nothing is known of it. */
  async knows(id: string): Promise<boolean> {
    return (await this.#find(rowKey(id))) !== undefined
  }

  /** Tasks nobody has, oldest first. */
  waiting(topic: string): QueuedTask[] {
    return [...this.#tasks.waiting(topic)]
  }

  /** Tasks somebody has, oldest first. */
  claimed(topic: string): QueuedTask[] {
    return this.#tasks.claimed(topic)
  }

  /** The task of that id, if it is known to stand. */
  find(id: string): QueuedTask | undefined {
    return this.#held.get(rowKey(id))?.task
  }

  /** The same, asking the store for what is not known yet. */
  async seek(id: string): Promise<QueuedTask | undefined> {
    return (await this.#find(rowKey(id)))?.task
  }

  /** Tasks a worker has, of any topic, oldest first. */
  heldBy(worker: string): QueuedTask[] {
    return this.#tasks.heldBy(worker)
  }

  /** Who was {@link done} with a task that ended; undefined for any other, and when that is forgotten. */
  endedBy(id: string): string | undefined {
    return this.#held.get(rowKey(id))?.endedBy
  }

  get size(): QueueSize {
    return this.#tasks.size
  }

  /** Tells nothing any more and lets no lease end; the tasks stand. */
  close(): void {
    this.#isClosed = true
    this.#endWatch()
    this.#ends.close()
    this.#leases.close()
  }

  get #leaseEnd(): number {
    return this.#clock.now() + this.#leaseMs
  }

  /**
   * Changes a task that `fits`.
   * @param next - the new value of its row
   * @returns the task as it was, or undefined when it does not fit, by what the table says
   */
  async #change(
    id: string,
    fits: (task: QueuedTask) => boolean,
    next: (task: QueuedTask) => string,
  ): Promise<QueuedTask | undefined> {
    const key = rowKey(id)
    const held = this.#held.get(key)
    if (held !== undefined && held.task === undefined) return undefined
    if (held?.task !== undefined && fits(held.task)) {
      if (await this.#put(key, next(held.task), held.revision)) return held.task
    }
    // The cache may lag behind other relays: the row itself decides.
    const table = {
      get: (_key: string) => this.#refresh(key),
      put: (_key: string, value: string, expected = 0) => this.#put(key, value, expected),
      delete: () => Promise.resolve(false),
    }
    const { result } = await updateRow(
      table,
      key,
      (row) => {
        const task = row && readRow(row.value)?.task
        return task !== undefined && fits(task) ? { result: task, value: next(task) } : { result: undefined }
      },
      { what: "task" },
    )
    return result
  }

  /** The row as it is cached, or as the table has it when it is not. */
  async #find(key: string): Promise<Held | undefined> {
    if (!this.#held.has(key)) await this.#refresh(key)
    return this.#held.get(key)
  }

  /** Reads a row from the table into the cache. */
  async #refresh(key: string): Promise<Row | undefined> {
    const held = this.#held.get(key)
    const row = await this.#table.get(key)
    if (row !== undefined) this.#take(row)
    else if (held !== undefined && this.#held.get(key) === held) this.#forget(held)
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
    const held = this.#held.get(change.key)
    if (change.value !== undefined) this.#take(change as RowChange & { value: string })
    else if (held !== undefined && held.revision <= change.revision) this.#forget(held)
  }

  /** Takes note of a row, unless a newer one is known. */
  #take({ key, value, revision }: { key: string; value: string; revision: number }): void {
    const before = this.#held.get(key)
    const row = readRow(value)
    if (this.#isClosed || row === undefined || (before?.revision ?? -1) >= revision) return
    const { task, endedTs = 0, endedBy } = row
    this.#held.set(key, { key, revision, task, endedBy })
    if (before?.task !== undefined) this.#tasks.remove(before.task)
    if (task !== undefined) this.#tasks.add(task)
    else this.#ends.remember(key, endedTs)
    this.#setLease(key, task)
    this.#tell(before?.task, task, this.#writing.has(value))
  }

  #forget({ key, task }: Held): void {
    this.#held.delete(key)
    this.#ends.forget(key)
    if (task !== undefined) this.#tasks.remove(task)
    this.#leases.drop(key)
    this.#tell(task, undefined, false)
  }

  #tell(before: QueuedTask | undefined, after: QueuedTask | undefined, isOwn: boolean): void {
    if (!this.#isOpen || this.#isClosed) return
    const isSame = isSameClaim(before, after)
    if (before?.worker !== undefined && !isSame) this.#events.onReleased?.(before, before.worker)
    if (after === undefined) return
    if (after.worker === undefined) this.#events.onAvailable(after)
    else if (!isSame && !isOwn) this.#events.onClaimed?.(after, after.worker)
  }

  #setLease(key: string, task: QueuedTask | undefined): void {
    if (task?.leaseUntil === undefined) {
      this.#leases.drop(key)
      return
    }
    const leftMs = this.#isOpen ? this.#leaseMs : task.leaseUntil - this.#clock.now()
    this.#leases.begin(key, Math.min(this.#leaseMs, Math.max(0, leftMs)))
  }

  async #endLease(key: string): Promise<void> {
    const held = this.#held.get(key)
    if (held?.task?.worker === undefined) return
    if (isAnswered(held.task)) {
      this.#leases.begin(key, retryMs)
      this.#events.onOverdue?.(held.task)
      return
    }
    try {
      const revision = await this.#put(key, writeTask(unclaimed(held.task)), held.revision)
      if (revision === undefined) await this.#refresh(key)
    } catch {
      // The table is away; the lease still has to end when it is back, unless something newer was heard.
      if (this.#held.get(key) === held) this.#leases.begin(key, retryMs)
    }
  }

  #deleteEnd(key: string): void {
    const held = this.#held.get(key)
    // A refusal means that it changed, or cannot be reached: then another round does it.
    if (held !== undefined) this.#table.delete(key, held.revision).catch(() => {})
  }
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
