import type { Clock, Timer } from "../base/clock.js"
import type { RowChange, Subscription, Table } from "./backbone.js"
import { type QueuedTask, readRow, rowKey, writeEnd, writeTask } from "./queue-row.js"
import { type QueueSize, QueueTasks } from "./queue-tasks.js"

export type { QueuedTask } from "./queue-row.js"

/** How long the end of a task is remembered, so that a sender that tries again does not have it done twice. */
const endKeptMs = 3_600_000

/** Ends remembered at most; the oldest are forgotten first. */
const endsKept = 10_000

/** Pause before the end of a lease is tried again when the table could not be reached. */
const retryMs = 1_000

/** What a queue tells; called from the cache, so a look into the queue agrees with what is told. */
export interface QueueEvents {
  /**
   * A task of this topic waits: it is new, was given back, or its lease ended. Tasks that wait when the queue is
   * opened are not told: look at {@link Queue.waiting}.
   */
  onAvailable(topic: string): void
  /**
   * Nobody has this task any more: its lease ended, it was given back, done or removed, by whichever relay.
   * `task` is as it was while `worker` had it; {@link Queue.find} tells what became of it (undefined: it ended).
   * A claim that another relay gave and that ended before it was heard of here is not told: what
   * {@link Table.watch} tells as one is one.
   */
  onReleased?(task: QueuedTask, worker: string): void
}

/** A row as it was last heard of. */
interface Held {
  readonly key: string
  readonly revision: number
  /** Undefined once it ended. */
  readonly task: QueuedTask | undefined
  readonly endedTs: number
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
  readonly #leases = new Map<string, Timer>()
  /** Ends by key, oldest first as far as they were heard of in order. */
  readonly #ends = new Map<string, number>()
  /** Keys of which a claim is under way here. */
  readonly #claiming = new Set<string>()
  #endWatch: Subscription = () => {}
  #sweep: Timer | undefined
  #isOpen = false
  #isClosed = false

  private constructor(table: Table, options: { clock: Clock; leaseMs: number }, events: QueueEvents) {
    this.#table = table
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#events = events
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
    return (await this.#write(rowKey(id), task, 0)) !== undefined
  }

  /**
   * Gives the oldest waiting task of a topic, or the one named, to a worker for one lease.
   * @returns undefined when nothing waits, or the one named does not wait under this topic
   */
  async claim(topic: string, worker: string, id?: string): Promise<QueuedTask | undefined> {
    if (id !== undefined) return await this.#claimNamed(topic, worker, id)
    for (;;) {
      const next = this.#tasks.waiting(topic).find((task) => !this.#claiming.has(rowKey(task.id)))
      const held = next === undefined ? undefined : this.#held.get(rowKey(next.id))
      if (next === undefined || held === undefined) return undefined
      const claimed = await this.#tryClaim(held, next, worker)
      if (claimed !== undefined) return claimed
    }
  }

  /** Begins the lease anew. @returns false when the task is not this worker's, or no longer. */
  async extend(id: string, worker: string): Promise<boolean> {
    const extended = await this.#changeOwn(id, worker, (held, task) =>
      this.#write(held.key, { ...task, leaseUntil: this.#clock.now() + this.#leaseMs }, held.revision),
    )
    return extended !== undefined
  }

  /** Ends the worker's task. @returns the task, or undefined when it is not this worker's, or no longer. */
  async done(id: string, worker: string): Promise<QueuedTask | undefined> {
    return await this.#changeOwn(id, worker, (held) => this.#end(held, id, worker))
  }

  /** Lets the worker's task wait again. @returns the task as it was, or undefined as {@link done}. */
  async giveBack(id: string, worker: string): Promise<QueuedTask | undefined> {
    return await this.#changeOwn(id, worker, (held, task) =>
      this.#write(held.key, unclaimed(task), held.revision),
    )
  }

  /** Ends a task, whoever has it. @returns the task as it was, or undefined when none of that id stands. */
  async remove(id: string): Promise<QueuedTask | undefined> {
    return await this.#change(
      id,
      () => true,
      (held) => this.#end(held, id),
    )
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
    this.#sweep?.cancel()
    for (const lease of this.#leases.values()) lease.cancel()
    this.#leases.clear()
  }

  async #claimNamed(topic: string, worker: string, id: string): Promise<QueuedTask | undefined> {
    for (;;) {
      const held = await this.#find(rowKey(id))
      const task = held?.task
      if (held === undefined || task?.topic !== topic || task.worker !== undefined) return undefined
      const claimed = await this.#tryClaim(held, task, worker)
      if (claimed !== undefined) return claimed
    }
  }

  /** @returns undefined when another was faster; the cache then knows more than before */
  async #tryClaim(held: Held, task: QueuedTask, worker: string): Promise<QueuedTask | undefined> {
    const leaseUntil = this.#clock.now() + this.#leaseMs
    const claimed = { ...task, attempt: task.attempt + 1, worker, leaseUntil }
    this.#claiming.add(held.key)
    try {
      if ((await this.#write(held.key, claimed, held.revision)) !== undefined) return claimed
      await this.#refresh(held)
    } catch (error) {
      // Whoever passed this task over while it was being claimed must look again.
      this.#claiming.delete(held.key)
      if (!this.#isClosed && this.find(task.id)?.worker === undefined) this.#events.onAvailable(task.topic)
      throw error
    } finally {
      this.#claiming.delete(held.key)
    }
    return undefined
  }

  async #changeOwn(
    id: string,
    worker: string,
    act: (held: Held, task: QueuedTask) => Promise<number | undefined>,
  ): Promise<QueuedTask | undefined> {
    return await this.#change(id, (task) => task.worker === worker, act)
  }

  /** Changes a task that `fits`, anew as long as others change it meanwhile. */
  async #change(
    id: string,
    fits: (task: QueuedTask) => boolean,
    act: (held: Held, task: QueuedTask) => Promise<number | undefined>,
  ): Promise<QueuedTask | undefined> {
    let isLookedUp = false
    for (;;) {
      const held = await this.#find(rowKey(id))
      const task = held?.task
      if (held === undefined) return undefined
      if (task !== undefined && fits(task)) {
        if ((await act(held, task)) !== undefined) return task
      } else if (task === undefined || isLookedUp) {
        return undefined
      }
      // What is known may be older than what another relay did a moment ago.
      await this.#refresh(held)
      isLookedUp = true
    }
  }

  /** The row as it is known, or as the table has it when it is not known yet. */
  async #find(key: string): Promise<Held | undefined> {
    const held = this.#held.get(key)
    if (held !== undefined) return held
    const row = await this.#table.get(key)
    if (row !== undefined) this.#take(row)
    return this.#held.get(key)
  }

  /** Reads a row again that was not as expected. */
  async #refresh(held: Held): Promise<void> {
    const row = await this.#table.get(held.key)
    if (row !== undefined) this.#take(row)
    else if (this.#held.get(held.key) === held) this.#forget(held)
  }

  async #write(key: string, task: QueuedTask, expected: number): Promise<number | undefined> {
    const value = writeTask(task)
    const revision = await this.#table.put(key, value, expected)
    if (revision !== undefined) this.#take({ key, value, revision })
    return revision
  }

  async #end(held: Held, id: string, worker?: string): Promise<number | undefined> {
    const value = writeEnd(id, this.#clock.now(), worker)
    const revision = await this.#table.put(held.key, value, held.revision)
    if (revision !== undefined) this.#take({ key: held.key, value, revision })
    return revision
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
    const { task } = row
    const held = { key, revision, task, endedTs: row.endedTs ?? 0, endedBy: row.endedBy }
    this.#held.set(key, held)
    if (before?.task !== undefined) this.#tasks.remove(before.task)
    if (task !== undefined) this.#tasks.add(task)
    else this.#rememberEnd(held)
    this.#setLease(held)
    this.#tell(before?.task, task)
  }

  #forget(held: Held): void {
    this.#held.delete(held.key)
    this.#ends.delete(held.key)
    if (held.task !== undefined) this.#tasks.remove(held.task)
    this.#setLease({ ...held, task: undefined })
    this.#tell(held.task, undefined)
  }

  #tell(before: QueuedTask | undefined, after: QueuedTask | undefined): void {
    if (!this.#isOpen || this.#isClosed) return
    if (before?.worker !== undefined && !isSameClaim(before, after)) {
      this.#events.onReleased?.(before, before.worker)
    }
    if (after !== undefined && after.worker === undefined) this.#events.onAvailable(after.topic)
  }

  #setLease({ key, task }: Held): void {
    this.#leases.get(key)?.cancel()
    this.#leases.delete(key)
    if (task?.leaseUntil === undefined) return
    const leftMs = this.#isOpen ? this.#leaseMs : task.leaseUntil - this.#clock.now()
    this.#endLeaseAfter(key, Math.min(this.#leaseMs, Math.max(0, leftMs)))
  }

  #endLeaseAfter(key: string, ms: number): void {
    if (this.#isClosed) return
    const timer = this.#clock.setTimer(() => void this.#endLease(key), ms, { unref: true })
    this.#leases.set(key, timer)
  }

  async #endLease(key: string): Promise<void> {
    this.#leases.delete(key)
    const held = this.#held.get(key)
    if (this.#isClosed || held?.task?.worker === undefined) return
    try {
      const isEnded = (await this.#write(key, unclaimed(held.task), held.revision)) !== undefined
      if (!isEnded) await this.#refresh(held)
    } catch {
      // The table is away; the lease still has to end when it is back, unless something newer was heard.
      if (this.#held.get(key) === held) this.#endLeaseAfter(key, retryMs)
    }
  }

  #rememberEnd(held: Held): void {
    this.#ends.set(held.key, held.endedTs)
    this.#sweep ??= this.#clock.setTimer(() => this.#sweepEnds(), endKeptMs / 10, { unref: true })
  }

  #sweepEnds(): void {
    this.#sweep = undefined
    if (this.#isClosed) return
    const eldestMs = this.#clock.now() - endKeptMs
    const byAge = [...this.#ends].sort(([, a], [, b]) => a - b)
    const surplus = byAge.length - endsKept
    for (const [index, [key, endedTs]] of byAge.entries()) {
      const held = this.#held.get(key)
      if (index >= surplus && endedTs >= eldestMs) break
      // A refusal means that it changed, or cannot be reached: then another round does it.
      if (held !== undefined) this.#table.delete(key, held.revision).catch(() => {})
    }
    if (this.#ends.size > 0) {
      this.#sweep = this.#clock.setTimer(() => this.#sweepEnds(), endKeptMs / 10, { unref: true })
    }
  }
}

function isSameClaim(before: QueuedTask, after: QueuedTask | undefined): boolean {
  return before.worker === after?.worker && before.attempt === after?.attempt
}

function unclaimed({ worker: _worker, leaseUntil: _leaseUntil, ...task }: QueuedTask): QueuedTask {
  return task
}
