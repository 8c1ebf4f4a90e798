import type { Backbone } from "../../backbone/backbone.js"
import { type AnsweredTask, Queue, type QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock } from "../../base/clock.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { authorOf } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import type { SentAck } from "../sessions/sent-ids.js"
import { LastHolders } from "./last-holders.js"
import { TaskAssigner } from "./task-assigner.js"
import { TaskEndings } from "./task-endings.js"
import { answerIdOf, writeRequest } from "./task-json.js"
import { type Notify, TaskNotices } from "./task-notices.js"
import { topicOf, Workers } from "./workers.js"

/** Ids told of at once. */
const listedIds = 100

/** What a worker says to who asked. */
export interface Answer {
  readonly to: AgentId
  readonly content: string
  readonly in_reply_to: string
  readonly kind: "inform"
}

/** What a desk needs of its house. */
interface TaskPorts {
  /** What who asked is to read. */
  writeAnswer(author: Agent, answer: Answer, messageId: string, ts: number): string
  /**
   * Sends it to who asked; a task that was answered before is not answered again, and what nobody can get any more
   * is lost.
   * @throws {ChatError} MAILBOX_FULL, UNAVAILABLE
   */
  answer(task: string, text: string): Promise<unknown>
  readonly notify: Notify
  /** A task was done: by whom, and for whom. */
  onDone(agents: readonly AgentId[]): void
  readonly log: (line: string) => void
}

/** What waits for a role, as PENDING tells it. */
interface WaitingTasks {
  readonly count: number
  readonly ids: readonly string[]
  readonly oldest_ts?: number
  readonly claimed: number
}

/** Work for a role: a task waits until one worker is free, which then has it for one lease. */
export class TaskService {
  readonly #queue: Queue
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #ports: TaskPorts
  readonly #workers: Workers<Agent>
  readonly #holders: LastHolders
  readonly #news: TaskNotices
  readonly #offers: TaskAssigner
  readonly #doing = new TaskEndings()
  readonly #failing = new TaskEndings()

  private constructor(queue: Queue, { limits, clock }: { limits: Limits; clock: Clock }, ports: TaskPorts) {
    this.#queue = queue
    this.#limits = limits
    this.#clock = clock
    this.#ports = ports
    const workers = new Workers<Agent>((id) => queue.heldBy(id).length > 0)
    const holders = new LastHolders(limits.tasks)
    const news = new TaskNotices(clock, limits.leaseMs, ports.notify)
    this.#workers = workers
    this.#holders = holders
    this.#news = news
    this.#offers = new TaskAssigner({ queue, workers, holders, news, clock, limits, log: ports.log })
  }

  /**
   * Takes up what stands in the store.
   * @throws {ChatError} UNAVAILABLE
   */
  static async open(
    backbone: Pick<Backbone, "table">,
    options: { limits: Limits; clock: Clock },
    ports: TaskPorts,
  ): Promise<TaskService> {
    const { clock, limits } = options
    const table = await backbone.table("task")
    const desks: TaskService[] = []
    const events = {
      onAvailable: (task: QueuedTask) => {
        for (const desk of desks) desk.#offers.take(task)
      },
      onClaimed: (task: QueuedTask, worker: string) => {
        for (const desk of desks) desk.#tellOver(task, worker as AgentId)
      },
      onReleased: (task: QueuedTask, worker: string) => {
        for (const desk of desks) desk.#takeBack(task, worker as AgentId)
      },
      onOverdue: (task: AnsweredTask) => {
        for (const desk of desks) void desk.#makeUpFor(task)
      },
    }
    const queue = await Queue.open(table, { clock, leaseMs: limits.leaseMs }, events)
    const desk = new TaskService(queue, options, ports)
    desks.push(desk)
    return desk
  }

  /** Gives nothing out any more; what stands stands. */
  close(): void {
    this.#offers.close()
    this.#queue.close()
  }

  /** Somebody came: what it had when it left is still its own. */
  enter(agent: Agent): void {
    if (!agent.isPersistent) return
    this.note(agent)
    for (const task of this.#queue.heldBy(agent.id)) this.#news.tellWorker(agent, task)
  }

  /** Somebody who is here has another status, or another role. */
  note(agent: Agent): void {
    if (!agent.isPersistent) return
    const before = this.#workers.topicFor(agent.id)
    this.#workers.note(agent)
    const after = this.#workers.topicFor(agent.id)
    if (after !== undefined) this.#offers.look(after)
    if (before !== undefined && before !== after) this.#offers.look(before)
  }

  /** Somebody left; its leases run on, so that it may come back. */
  leave(agent: Agent): void {
    const topic = this.#workers.drop(agent)
    // Whoever had a task last gets it again once nobody else is there.
    if (topic !== undefined) this.#offers.look(topic)
  }

  /**
   * Takes a message to a role.
   * @throws {ChatError} LIMIT_REACHED, UNAVAILABLE
   */
  async push(agent: Agent, message: ClientMessage<"MSG">, messageId: string): Promise<SentAck> {
    const topic = topicOf(message.to.slice(1))
    const { content, parts } = message
    const value = writeRequest({ name: agent.name, content, parts })
    const refusal = this.#roomRefusal(topic, value)
    if (refusal !== undefined && !(await this.#queue.knows(messageId))) throw refusal
    const isNew = await this.#queue.push(topic, messageId, value)
    return {
      ts: this.#clock.now(),
      seq: undefined,
      recipients: this.#isAtHand(topic, messageId, agent.id) ? 1 : 0,
      isMember: true,
      hops: 0,
      ...(!isNew && { isRepeated: true }),
    }
  }

  /** What waits for a role, in whichever case it is written. */
  pending(role: string): WaitingTasks {
    const topic = topicOf(role)
    const waiting = this.#queue.waiting(topic)
    const [oldest] = waiting
    return {
      count: waiting.length,
      ids: waiting.slice(0, listedIds).map(({ id }) => id),
      ...(oldest !== undefined && { oldest_ts: oldest.pushedTs }),
      claimed: this.#queue.claimed(topic).length,
    }
  }

  /**
   * Takes a task that waits, or tells again what the worker has already.
   * @throws {ChatError} IDENTITY_REQUIRED, TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE
   */
  async claim(agent: Agent, id: string): Promise<ServerMessage<"TASK">> {
    if (!agent.isPersistent) {
      throw new ChatError("IDENTITY_REQUIRED", "CLAIM: only a persistent identity is given work")
    }
    if (authorOf(id) === agent.id) throw new ChatError("TASK_NOT_FOUND", "task: nobody works for itself")
    const task = await this.#queue.seek(id)
    if (task === undefined) throw this.#refusal(id)
    if (task.worker === agent.id) return this.#news.format(task)
    const free = this.#workers.reserve(agent.id)
    try {
      const claimed = await this.#queue.claim(task.topic, agent.id, id)
      if (claimed === undefined) return this.#tellAgain(agent, id)
      this.#news.tellClaimed(claimed, agent.id)
      return this.#news.format(claimed)
    } finally {
      free()
    }
  }

  /** @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE */
  async extend(agent: Agent, id: string): Promise<void> {
    if (!(await this.#queue.extend(id, agent.id))) throw this.#refusal(id)
  }

  /**
   * Ends a task and answers who asked, once however often it is said.
   * @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST; MAILBOX_FULL and UNAVAILABLE leave the task with the worker
   */
  async done(agent: Agent, id: string, content: string): Promise<void> {
    await this.#doing.once(id, agent.id, async () => {
      const answer = { to: authorOf(id), content, in_reply_to: id, kind: "inform" } as const
      const ts = this.#clock.now()
      const text = this.#ports.writeAnswer(agent, answer, answerIdOf(agent.id, id), ts)
      // It stands before it is sent: should this relay end in between, another one sends it.
      const answered = await this.#queue.answer(id, agent.id, text)
      if (this.#queue.endedBy(id) === agent.id) return
      if (answered === undefined) throw this.#refusal(id)
      await this.#finish(answered)
      if (this.#queue.endedBy(id) !== agent.id) throw this.#refusal(id)
    })
  }

  /**
   * Sends what a worker found out, and ends its task.
   * @throws {ChatError} MAILBOX_FULL, after which it is as if nothing had been found out; UNAVAILABLE
   */
  async #finish({ id, worker, answer }: AnsweredTask): Promise<void> {
    try {
      await this.#ports.answer(id, answer)
    } catch (error) {
      if (error instanceof ChatError && error.code === "MAILBOX_FULL") await this.#queue.withdraw(id, worker)
      throw error
    }
    await this.#end(id, worker)
  }

  /** @returns whether it was this relay that ended it */
  async #end(id: string, worker: string): Promise<boolean> {
    const isEnded = (await this.#queue.done(id, worker)) !== undefined
    if (isEnded) this.#ports.onDone([worker as AgentId, authorOf(id)])
    return isEnded
  }

  /** The relay that was to send an answer is gone, or cannot reach the store. All others come to know at once. */
  async #makeUpFor(task: AnsweredTask): Promise<void> {
    const { id, worker, answer } = task
    try {
      if (persistentIdPattern.test(authorOf(id))) await this.#finish(task)
      // A mailbox takes an answer once; who has none would get one of each relay.
      else if (await this.#end(id, worker)) await this.#ports.answer(id, answer)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#ports.log(`an answer for ${authorOf(task.id)} waits: ${error.code}`)
    }
  }

  /**
   * Lets a task wait for the next worker.
   * @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE
   */
  async fail(agent: Agent, id: string, reason: string | undefined): Promise<void> {
    const last = this.#holders.find(id)
    const isRepeated = last?.worker === agent.id && last.hasFailed
    if (isRepeated && this.#queue.find(id)?.worker !== agent.id) return
    await this.#failing.once(id, agent.id, async () => {
      const over = this.#holders.noteFailing(id, agent.id, reason)
      try {
        if ((await this.#queue.giveBack(id, agent.id)) === undefined) throw this.#refusal(id)
      } finally {
        over()
      }
    })
  }

  /** Whether a task has a worker, or will have one of this relay's at once. */
  #isAtHand(topic: string, id: string, asker: AgentId): boolean {
    const task = this.#queue.find(id)
    if (task === undefined) return false
    if (task.worker !== undefined) return true
    const place = this.#queue.waiting(topic).findIndex((other) => other.id === id)
    return place < this.#workers.countFree(topic, asker)
  }

  /** Why one more task for this role is too much; undefined: it is not. */
  #roomRefusal(topic: string, value: string): ChatError | undefined {
    const { tasks, taskCharacters, roleTasks, leaseMs } = this.#limits
    const { size } = this.#queue
    const details = { retryAfterMs: leaseMs }
    if (size.tasks >= tasks || size.characters + value.length > taskCharacters) {
      return new ChatError("LIMIT_REACHED", "to: this relay holds no more tasks", details)
    }
    if (this.#queue.waiting(topic).length >= roleTasks) {
      return new ChatError("LIMIT_REACHED", `to: ${roleTasks} tasks wait for this role already`, details)
    }
    return undefined
  }

  /** TASK of what another relay gave this worker already. @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST */
  #tellAgain({ id: worker }: Agent, id: string): ServerMessage<"TASK"> {
    const task = this.#queue.find(id)
    if (task?.worker !== worker) throw this.#refusal(id)
    return this.#news.format(task)
  }

  #refusal(id: string): ChatError {
    const task = this.#queue.find(id)
    if (task === undefined) return new ChatError("TASK_NOT_FOUND", "task: none of that id stands")
    const how = task.answer === undefined ? "held by another," : "answered by"
    const what = task.worker === undefined ? "it waits for a worker" : `${how} ${task.worker}`
    return new ChatError("LEASE_LOST", `task: ${what}`)
  }

  /** Somebody was given a task where it was before it came here. */
  #tellOver(task: QueuedTask, worker: AgentId): void {
    const agent = this.#workers.find(worker)
    if (agent !== undefined) this.#news.tellWorker(agent, task)
  }

  /** A worker does not have a task any more, whatever the reason. */
  #takeBack({ id }: QueuedTask, worker: AgentId): void {
    const now = this.#queue.find(id)
    if (now === undefined) this.#holders.forget(id)
    else this.#holders.note(id, worker)
    this.#workers.noteRelease(worker)
    const topic = this.#workers.topicFor(worker)
    if (topic !== undefined) this.#offers.look(topic)
    const isEnding = this.#doing.has(id, worker) || this.#failing.has(id, worker)
    const agent = this.#workers.find(worker)
    if (isEnding || this.#queue.endedBy(id) === worker || agent === undefined) return
    this.#news.tellLost(agent, id, now === undefined ? "the task is ended" : "the lease ended")
  }
}
