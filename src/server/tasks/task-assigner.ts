import type { Queue, QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock, Timer } from "../../base/clock.js"
import type { LruMap } from "../../base/lru-map.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { authorOf } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import { type LastHolder, type TaskNotices } from "./task-messages.js"
import { isForPeople } from "./task-offers.js"
import type { Workers } from "./workers.js"

/** Pause before a topic is tried again when the store could not be reached. */
const retryMs = 1_000

/** The services an assigner uses. */
interface TaskAssignerOptions {
  readonly queue: Queue
  readonly workers: Workers<Agent>
  readonly lastHolders: LruMap<string, LastHolder>
  readonly notices: TaskNotices
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
}

/**
 * Assigns waiting tasks to the free workers of this relay. Other relays of the store do the same for theirs; the
 * queue decides who gets a task.
 */
export class TaskAssigner {
  readonly #options: TaskAssignerOptions
  /** Tasks being claimed for a worker of this relay, or being given up. */
  readonly #busy = new Set<string>()
  /** Tasks that have used up their attempts. */
  readonly #exhausted = new Set<string>()
  /** Topics to be served after the current turn of the event loop. */
  readonly #due = new Set<string>()
  /** Topics whose next try waits because the store could not be reached. */
  readonly #paused = new Map<string, Timer>()
  #isClosed = false

  constructor(options: TaskAssignerOptions) {
    this.#options = options
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#paused.values()) timer.cancel()
  }

  /** Serves a topic after this turn of the event loop, so that an ACK is sent before the TASK it leads to. */
  schedule(topic: string): void {
    if (this.#isClosed || isForPeople(topic) || this.#due.has(topic) || this.#paused.has(topic)) return
    this.#due.add(topic)
    setImmediate(() => {
      this.#due.delete(topic)
      if (!this.#isClosed && !this.#paused.has(topic)) this.#serve(topic)
    })
  }

  /** Schedules the assignment of a task that is new, or waits again. */
  add({ id, topic, attempt }: QueuedTask): void {
    if (isForPeople(topic)) return
    if (attempt >= this.#options.limits.taskAttempts) this.#exhausted.add(id)
    this.schedule(topic)
  }

  /** Offers the waiting tasks of a topic to its free workers, oldest first. */
  #serve(topic: string): void {
    const { queue, workers, lastHolders, limits } = this.#options
    for (const id of this.#exhausted) void this.#giveUp(id)
    let free = workers.countFree(topic)
    if (free === 0) return
    for (const task of queue.waiting(topic)) {
      if (this.#busy.has(task.id)) continue
      if (task.attempt >= limits.taskAttempts) {
        void this.#giveUp(task.id)
        continue
      }
      const last = lastHolders.peek(task.id)?.worker
      const worker = workers.pick(topic, { asker: authorOf(task.id), last })
      if (worker === undefined) continue
      void this.#assign(task, worker.id)
      if (--free === 0) return
    }
  }

  async #assign({ id, topic }: QueuedTask, worker: AgentId): Promise<void> {
    const { queue, workers } = this.#options
    const release = workers.reserve(worker)
    this.#busy.add(id)
    let claimed: QueuedTask | undefined
    try {
      claimed = await queue.claim(topic, worker, id)
    } catch (error) {
      this.#pause(topic, error)
    } finally {
      this.#busy.delete(id)
      release()
    }
    if (claimed !== undefined) this.#send(claimed, worker)
    else this.schedule(topic)
  }

  #send(task: QueuedTask, worker: AgentId): void {
    const { queue, workers, notices } = this.#options
    const agent = workers.find(worker)
    if (agent !== undefined) {
      notices.sendTask(agent, task)
      notices.reportClaimed(task, worker)
      return
    }
    // The worker left during the claim, so it does not know about the task.
    queue.giveBack(task.id, worker).catch((error: unknown) => this.#pause(task.topic, error))
  }

  /**
   * Removes a task that used up its attempts. An asker with a mailbox has the report before the task is gone, so that a
   * crash loses neither. To another asker only the relay that removes the task reports this.
   */
  async #giveUp(id: string): Promise<void> {
    const { queue, lastHolders, notices } = this.#options
    const task = queue.find(id)
    if (this.#busy.has(id)) return
    this.#exhausted.delete(id)
    if (task === undefined || task.worker !== undefined) return
    this.#busy.add(id)
    try {
      const last = lastHolders.peek(id)
      const isStored = persistentIdPattern.test(authorOf(id))
      if (isStored) await notices.reportFailed(task, last)
      if ((await queue.remove(id)) === undefined) return
      if (!isStored) await notices.reportFailed(task, last)
      lastHolders.delete(id)
    } catch (error) {
      this.#exhausted.add(id)
      this.#pause(task.topic, error)
    } finally {
      this.#busy.delete(id)
    }
  }

  /** Stops serving a topic for a while, after an error of the store. */
  #pause(topic: string, error: unknown): void {
    if (!(error instanceof ChatError)) throw error
    if (this.#isClosed || this.#paused.has(topic)) return
    this.#options.log(`tasks: +${topic} waits for the store: ${error.code}`)
    const resume = () => {
      this.#paused.delete(topic)
      this.schedule(topic)
    }
    this.#paused.set(topic, this.#options.clock.setTimer(resume, retryMs, { unref: true }))
  }
}
