import type { QueuedTask } from "./row.js"

/** What stands in a queue, of all topics. */
export interface QueueSize {
  readonly tasks: number
  /** Length of their values. */
  readonly characters: number
}

/** The tasks of each topic, apart by whether somebody has them. */
export class QueueTasks {
  /** In the order in which they are to be claimed. */
  readonly #waiting = new Map<string, QueuedTask[]>()
  readonly #claimed = new Map<string, Map<string, QueuedTask>>()
  readonly #held = new Map<string, Map<string, QueuedTask>>()
  #tasks = 0
  #characters = 0

  get size(): QueueSize {
    return { tasks: this.#tasks, characters: this.#characters }
  }

  /** Oldest first. */
  waiting(topic: string): readonly QueuedTask[] {
    return this.#waiting.get(topic) ?? []
  }

  claimed(topic: string): QueuedTask[] {
    return [...(this.#claimed.get(topic)?.values() ?? [])].sort(byAge)
  }

  /** Those a worker has, oldest first. */
  heldBy(worker: string): QueuedTask[] {
    return [...(this.#held.get(worker)?.values() ?? [])].sort(byAge)
  }

  add(task: QueuedTask): void {
    this.#tasks++
    this.#characters += task.value.length
    if (task.worker === undefined) {
      const waiting = this.#waiting.get(task.topic) ?? []
      waiting.splice(placeOf(waiting, task), 0, task)
      this.#waiting.set(task.topic, waiting)
    } else {
      const claimed = this.#claimed.get(task.topic) ?? new Map<string, QueuedTask>()
      this.#claimed.set(task.topic, claimed.set(task.id, task))
      const held = this.#held.get(task.worker) ?? new Map<string, QueuedTask>()
      this.#held.set(task.worker, held.set(task.id, task))
    }
  }

  /** Takes out a task that was added, as it was then. */
  remove(task: QueuedTask): void {
    this.#tasks--
    this.#characters -= task.value.length
    if (task.worker === undefined) {
      const waiting = this.#waiting.get(task.topic) ?? []
      const place = placeOf(waiting, task)
      if (waiting[place]?.id === task.id) waiting.splice(place, 1)
      if (waiting.length === 0) this.#waiting.delete(task.topic)
    } else {
      const claimed = this.#claimed.get(task.topic)
      claimed?.delete(task.id)
      if (claimed?.size === 0) this.#claimed.delete(task.topic)
      const held = this.#held.get(task.worker)
      held?.delete(task.id)
      if (held?.size === 0) this.#held.delete(task.worker)
    }
  }
}

function byAge(a: QueuedTask, b: QueuedTask): number {
  if (a.pushedTs !== b.pushedTs) return a.pushedTs - b.pushedTs
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** Index of the first task that is not older than `task`. */
function placeOf(tasks: readonly QueuedTask[], task: QueuedTask): number {
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
