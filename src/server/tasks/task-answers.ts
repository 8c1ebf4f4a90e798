import type { AnsweredTask, Queue } from "../../backbone/queue/queue.js"
import { ChatError } from "../../protocol/errors.js"
import { authorOf } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { DirectDelivery } from "../delivery/direct-delivery.js"
import type { GuardService } from "../guards/guard-service.js"
import { expiryWorker } from "./task-messages.js"

/** A request of one worker about one task that is being carried out. */
interface PendingRequest {
  readonly worker: AgentId
  /** The reason a FAIL gave. */
  readonly reason: string | undefined
  readonly outcome: Promise<void>
}

/**
 * Requests of workers to end a task, or to give it back, that are being carried out. A worker may repeat its request
 * meanwhile, for instance on a new connection: it gets the outcome of the first one.
 */
export class PendingRequests {
  readonly #byTask = new Map<string, PendingRequest>()

  /** Returns the request of this worker about this task. */
  find(task: string, worker: AgentId): PendingRequest | undefined {
    const pending = this.#byTask.get(task)
    return pending?.worker === worker ? pending : undefined
  }

  /** Runs `act`, or awaits the request that this worker has already made about this task. */
  async once(task: string, worker: AgentId, act: () => Promise<void>, reason?: string): Promise<void> {
    const earlier = this.find(task, worker)
    if (earlier !== undefined) {
      await earlier.outcome
      return
    }
    // The table may report the change before `act` returns: the request has to be known by then.
    let start = (): void => {}
    const outcome = new Promise<void>((resolve) => {
      start = () => resolve(act())
    })
    const pending = { worker, reason, outcome }
    this.#byTask.set(task, pending)
    try {
      start()
      await outcome
    } finally {
      if (this.#byTask.get(task) === pending) this.#byTask.delete(task)
    }
  }
}

/** The services that answers need. */
export interface AnswerServices {
  readonly queue: Queue
  readonly delivery: Pick<DirectDelivery, "answer">
  readonly guards: Pick<GuardService, "refill">
  readonly log: (line: string) => void
}

/**
 * Sends the answers of workers and ends their tasks. The queue keeps an answer before it is sent, so that another
 * relay sends it if this one ends in between.
 */
export class TaskAnswers {
  readonly #services: AnswerServices
  readonly #pending = new PendingRequests()

  constructor(services: AnswerServices) {
    this.#services = services
  }

  /** Reports whether this worker is ending this task right now. */
  isEnding(id: string, worker: AgentId): boolean {
    return this.#pending.find(id, worker) !== undefined
  }

  /**
   * Answers the asker and ends the task, once however often it is called.
   * @param text - the answer, from `formatAnswer`
   * @param refuse - makes the error of a task that is not this worker's
   * @throws {ChatError} what `refuse` makes; MAILBOX_FULL and UNAVAILABLE leave the task with the worker
   */
  async answer(id: string, worker: AgentId, text: string, refuse: () => ChatError): Promise<void> {
    await this.#pending.once(id, worker, async () => {
      const answered = await this.#services.queue.answer(id, worker, text)
      if (this.#services.queue.endedBy(id) === worker) return
      if (answered === undefined) throw refuse()
      await this.#finish(answered)
      if (this.#services.queue.endedBy(id) !== worker) throw refuse()
    })
  }

  /**
   * Ends a task that has expired, and sends its asker the default answer. Every relay calls this at the same time.
   * @param text - from `formatExpiry`
   */
  async expire(id: string, text: string): Promise<void> {
    try {
      const expired = await this.#services.queue.expire(id, expiryWorker, text)
      if (expired !== undefined) await this.sendOverdue(expired)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#services.log(`tasks: the expiry of ${id} waits for the store: ${error.code}`)
    }
  }

  /**
   * Sends an answer whose relay has not sent it: that relay is gone, or cannot reach the store. Every relay calls this
   * at the same time.
   */
  async sendOverdue(task: AnsweredTask): Promise<void> {
    const { id, worker, answer } = task
    try {
      if (persistentIdPattern.test(authorOf(id))) await this.#finish(task)
      // Without a mailbox, the asker would get one answer from each relay: only the one that ends the task sends it.
      else if (await this.#end(id, worker)) await this.#services.delivery.answer(id, answer)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#services.log(`tasks: answer for ${authorOf(id)} is not sent yet: ${error.code}`)
    }
  }

  /**
   * Sends an answer, then ends its task.
   * @throws {ChatError} MAILBOX_FULL, after taking the answer back; UNAVAILABLE
   */
  async #finish({ id, worker, answer }: AnsweredTask): Promise<void> {
    try {
      await this.#services.delivery.answer(id, answer)
    } catch (error) {
      // Nobody else can answer a task that has expired, so that answer waits for room.
      const isFull = error instanceof ChatError && error.code === "MAILBOX_FULL"
      if (isFull && worker !== expiryWorker) await this.#services.queue.withdraw(id, worker)
      throw error
    }
    await this.#end(id, worker)
  }

  /** @returns whether it was this relay that ended the task */
  async #end(id: string, worker: string): Promise<boolean> {
    const isEnded = (await this.#services.queue.done(id, worker)) !== undefined
    if (isEnded && worker !== expiryWorker) this.#services.guards.refill([worker, authorOf(id)])
    return isEnded
  }
}
