import { createHash } from "node:crypto"

/** A task of a queue. */
export interface QueuedTask {
  readonly id: string
  readonly topic: string
  readonly value: string
  /** Tells it from another task of the same id; a safe integer. */
  readonly digest?: number
  /** Number of claims so far: 1 during the first claim. */
  readonly attempt: number
  /** When it was pushed, in milliseconds since the Unix epoch. */
  readonly pushedTs: number
  /** When it expires, by the clock of the relay that pushed it; absent if it does not. */
  readonly expiresTs?: number
  /** The worker that has it; absent while it waits. */
  readonly worker?: string
  /** When the claim ends unless it is extended, by the clock of the relay that granted it. */
  readonly leaseUntil?: number
  /** The answer of the worker, while it has not been sent and the task not been ended. */
  readonly answer?: string
}

/** A row of a queue's table: a task, or the record of one that ended. */
export interface QueueRow {
  readonly id: string
  /** Undefined once the task has ended. */
  readonly task: QueuedTask | undefined
  /** When it ended, in milliseconds since the Unix epoch. */
  readonly endedTs?: number
  /** The worker that ended it; absent when it was removed. */
  readonly endedBy?: string
  /** {@link QueuedTask.digest}, also after the end. */
  readonly digest?: number
}

/** Returns the key of a task's row, a hash: ids contain characters that keys must not. */
export function rowKey(id: string): string {
  return createHash("sha256").update(id).digest("base64url")
}

/** Formats the row of a task. */
export function formatTaskRow(task: QueuedTask): string {
  return JSON.stringify(task)
}

/** Formats the row that records the end of a task, so that the task is not pushed again. */
export function formatEndRow({ id, digest }: QueuedTask, endedTs: number, endedBy?: string): string {
  return JSON.stringify({ id, endedTs, endedBy, digest })
}

/** Parses a row. @returns undefined when `text` is not the row of a queue */
export function parseRow(text: string): QueueRow | undefined {
  let row: Partial<Record<string, unknown>>
  try {
    row = Object(JSON.parse(text)) as Partial<Record<string, unknown>>
  } catch {
    return undefined
  }
  const { id, endedTs, endedBy, topic, value, attempt, pushedTs, worker, leaseUntil, answer } = row
  if (typeof id !== "string") return undefined
  const digest = digestIn(row)
  if (typeof endedTs === "number") {
    return { id, task: undefined, endedTs, ...(typeof endedBy === "string" && { endedBy }), ...digest }
  }
  if (typeof topic !== "string" || typeof value !== "string") return undefined
  if (typeof attempt !== "number" || typeof pushedTs !== "number") return undefined
  const waiting = { id, topic, value, attempt, pushedTs, ...expiryIn(row), ...digest }
  if (typeof worker !== "string" || typeof leaseUntil !== "number") return { id, task: waiting, ...digest }
  const claimed = { ...waiting, worker, leaseUntil }
  return { id, task: typeof answer === "string" ? { ...claimed, answer } : claimed, ...digest }
}

function expiryIn({ expiresTs }: Partial<Record<string, unknown>>): Pick<QueuedTask, "expiresTs"> {
  return typeof expiresTs === "number" ? { expiresTs } : {}
}

function digestIn({ digest }: Partial<Record<string, unknown>>): Pick<QueueRow, "digest"> {
  return typeof digest === "number" ? { digest } : {}
}

/** The size of a queue, over all topics. */
export interface QueueSize {
  readonly tasks: number
  /** Total length of their values. */
  readonly characters: number
}

/** The tasks of a queue by topic and by worker. */
export class TaskIndex {
  /** By topic, in the order in which they are to be claimed. */
  readonly #waiting = new Map<string, QueuedTask[]>()
  readonly #claimed = new Map<string, Map<string, QueuedTask>>()
  readonly #byWorker = new Map<string, Map<string, QueuedTask>>()
  #tasks = 0
  #characters = 0

  get size(): QueueSize {
    return { tasks: this.#tasks, characters: this.#characters }
  }

  /** Returns the waiting tasks of a topic, oldest first. */
  waiting(topic: string): readonly QueuedTask[] {
    return this.#waiting.get(topic) ?? []
  }

  /** Returns the claimed tasks, of one topic or of all, oldest first. */
  claimed(topic?: string): QueuedTask[] {
    const byId = topic === undefined ? [...this.#claimed.values()] : [this.#claimed.get(topic)]
    return byId.flatMap((tasks) => [...(tasks?.values() ?? [])]).sort(byAge)
  }

  /** Returns the tasks of a worker, oldest first. */
  heldBy(worker: string): QueuedTask[] {
    return [...(this.#byWorker.get(worker)?.values() ?? [])].sort(byAge)
  }

  add(task: QueuedTask): void {
    this.#tasks++
    this.#characters += task.value.length
    if (task.worker === undefined) {
      const waiting = this.#waiting.get(task.topic) ?? []
      waiting.splice(insertionIndex(waiting, task), 0, task)
      this.#waiting.set(task.topic, waiting)
    } else {
      const claimed = this.#claimed.get(task.topic) ?? new Map<string, QueuedTask>()
      this.#claimed.set(task.topic, claimed.set(task.id, task))
      const own = this.#byWorker.get(task.worker) ?? new Map<string, QueuedTask>()
      this.#byWorker.set(task.worker, own.set(task.id, task))
    }
  }

  /** Removes a task; it must be as it was when it was added. */
  remove(task: QueuedTask): void {
    this.#tasks--
    this.#characters -= task.value.length
    if (task.worker === undefined) {
      const waiting = this.#waiting.get(task.topic) ?? []
      const index = insertionIndex(waiting, task)
      if (waiting[index]?.id === task.id) waiting.splice(index, 1)
      if (waiting.length === 0) this.#waiting.delete(task.topic)
    } else {
      const claimed = this.#claimed.get(task.topic)
      claimed?.delete(task.id)
      if (claimed?.size === 0) this.#claimed.delete(task.topic)
      const own = this.#byWorker.get(task.worker)
      own?.delete(task.id)
      if (own?.size === 0) this.#byWorker.delete(task.worker)
    }
  }
}

function byAge(a: QueuedTask, b: QueuedTask): number {
  if (a.pushedTs !== b.pushedTs) return a.pushedTs - b.pushedTs
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** Returns the index of the first task that is not older than `task`. */
function insertionIndex(tasks: readonly QueuedTask[], task: QueuedTask): number {
  let low = 0
  let high = tasks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = tasks[middle]
    if (other !== undefined && byAge(other, task) < 0) low = middle + 1
    else high = middle
  }
  return low
}
