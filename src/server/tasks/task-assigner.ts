import type { Queue, QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { authorOf } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import type { LastHolders } from "./last-holders.js"
import type { TaskNotices } from "./task-notices.js"
import type { Workers } from "./workers.js"

/** Pause after the store could not be reached. */
const retryMs = 1_000

/** What offers are made of. */
interface TaskAssignerOptions {
  readonly queue: Queue
  readonly workers: Workers<Agent>
  readonly holders: LastHolders
  readonly news: TaskNotices
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
}

/**
 * Brings tasks that wait to this relay's workers that are free. Other relays over the same store do the same for
 * theirs; the queue decides who gets a task.
 */
export class TaskAssigner {
  readonly #its: TaskAssignerOptions
  /** Tasks that are being claimed for a worker of this relay, or given up. */
  readonly #busy = new Set<string>()
  /** Tasks to be given up. */
  readonly #spent = new Set<string>()
  /** Topics to be looked at when what happens now has happened. */
  readonly #due = new Set<string>()
  /** Topics that wait for the store. */
  readonly #resting = new Map<string, Timer>()
  #isClosed = false

  constructor(options: TaskAssignerOptions) {
    this.#its = options
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#resting.values()) timer.cancel()
  }

  /** Has a topic looked at once what happens now has happened, so that an ACK comes before what follows of it. */
  look(topic: string): void {
    if (this.#isClosed || this.#due.has(topic) || this.#resting.has(topic)) return
    this.#due.add(topic)
    setImmediate(() => {
      this.#due.delete(topic)
      if (!this.#isClosed && !this.#resting.has(topic)) this.#serve(topic)
    })
  }

  /** A task waits, for the first time or again. */
  take({ id, topic, attempt }: QueuedTask): void {
    if (attempt >= this.#its.limits.taskAttempts) this.#spent.add(id)
    this.look(topic)
  }

  /** Offers what waits to who is free, the oldest first. */
  #serve(topic: string): void {
    const { queue, workers, holders, limits } = this.#its
    for (const id of this.#spent) void this.#giveUp(id)
    let free = workers.countFree(topic)
    if (free === 0) return
    for (const task of queue.waiting(topic)) {
      if (this.#busy.has(task.id)) continue
      if (task.attempt >= limits.taskAttempts) {
        void this.#giveUp(task.id)
        continue
      }
      const last = holders.find(task.id)?.worker
      const worker = workers.pick(topic, { asker: authorOf(task.id), last })
      if (worker === undefined) continue
      void this.#offer(task, worker.id)
      if (--free === 0) return
    }
  }

  async #offer({ id, topic }: QueuedTask, worker: AgentId): Promise<void> {
    const { queue, workers } = this.#its
    const free = workers.reserve(worker)
    this.#busy.add(id)
    let claimed: QueuedTask | undefined
    try {
      claimed = await queue.claim(topic, worker, id)
    } catch (error) {
      this.#rest(topic, error)
    } finally {
      this.#busy.delete(id)
      free()
    }
    if (claimed !== undefined) this.#handOver(claimed, worker)
    else this.look(topic)
  }

  #handOver(task: QueuedTask, worker: AgentId): void {
    const { queue, workers, news } = this.#its
    const agent = workers.find(worker)
    if (agent !== undefined) {
      news.tellWorker(agent, task)
      news.tellClaimed(task, worker)
      return
    }
    // It left meanwhile, and does not know that it was given anything.
    queue.giveBack(task.id, worker).catch((error: unknown) => this.#rest(task.topic, error))
  }

  /** Nobody finished it, and nobody else is to try. Of several relays, the one that removes it says so. */
  async #giveUp(id: string): Promise<void> {
    const { queue, holders, news } = this.#its
    const task = queue.find(id)
    if (this.#busy.has(id)) return
    this.#spent.delete(id)
    if (task === undefined || task.worker !== undefined) return
    this.#busy.add(id)
    try {
      if ((await queue.remove(id)) === undefined) return
      news.tellGivenUp(task, holders.find(id))
      holders.forget(id)
    } catch (error) {
      this.#spent.add(id)
      this.#rest(task.topic, error)
    } finally {
      this.#busy.delete(id)
    }
  }

  /** The store is away: what waits goes on waiting. */
  #rest(topic: string, error: unknown): void {
    if (!(error instanceof ChatError)) throw error
    if (this.#isClosed || this.#resting.has(topic)) return
    this.#its.log(`tasks for +${topic} wait for the store: ${error.code}`)
    const wake = () => {
      this.#resting.delete(topic)
      this.look(topic)
    }
    this.#resting.set(topic, this.#its.clock.setTimer(wake, retryMs, { unref: true }))
  }
}
