import type { Backbone, Logs } from "../../backbone/backbone.js"
import { Queue, type QueuedTask } from "../../backbone/queue/queue.js"
import { type Clock, repeat, type Timer } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { authorOf } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage, TaskEntry } from "../../protocol/server-messages.js"
import type { DirectDelivery } from "../delivery/direct-delivery.js"
import type { GuardService } from "../guards/guard-service.js"
import type { SentAck } from "../sessions/ack-table.js"
import type { Agent } from "../sessions/agent.js"
import { FairShare, type Origin } from "../sessions/origin.js"
import { digestOf, repetition } from "../sessions/sent-ids.js"
import { PendingRequests, TaskAnswers } from "./task-answers.js"
import { TaskAssigner } from "./task-assigner.js"
import {
  type AnswerProofs,
  expiryWorker,
  formatAnswer,
  formatEntry,
  formatExpiry,
  formatRequest,
  isTask,
  type LastHolder,
  requireAnswer,
  TaskNotices,
} from "./task-messages.js"
import { isForPeople, requirePerson, TaskOffers } from "./task-offers.js"
import { topicOf, Workers } from "./workers.js"

/** Milliseconds between two searches for tasks that are too old. */
const sweepMs = 600_000
/** A queue of fewer tasks, or of fewer characters, is not divided among origins. */
const dividedTasks = 16
const dividedCharacters = 65_536
/** Part of a bound below which no origin can have its share. */
const smallPart = 0.1

/** Most task ids in one PENDING answer, and most tasks in one TASKS answer. */
const listedIds = 100
const listedTasks = 500

/** The services and settings that tasks need. */
export interface TaskServiceOptions {
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly delivery: Pick<DirectDelivery, "answer" | "notify">
  readonly guards: Pick<GuardService, "refill">
}

/** The tasks of a role, for the answer to PENDING. */
interface PendingTasks {
  /** Number of waiting tasks. */
  readonly count: number
  /** The oldest waiting tasks. */
  readonly ids: readonly string[]
  /** When the oldest waiting task was sent. */
  readonly oldest_ts?: number
  /** Number of tasks that a worker has. */
  readonly claimed: number
}

/** The only key of the log of ids, which keeps no entry but the last. */
const idsKey = "all"

/** Tasks for a role: each waits for a free worker, which then has it for one lease. */
export class TaskService {
  readonly #queue: Queue
  /** The ids of all tasks, for the logs of other messages to compare. */
  readonly #ids: Pick<Logs, "append">
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #workers: Workers<Agent>
  /** By task, for as many tasks as the relay holds. */
  readonly #lastHolders: LruMap<string, LastHolder>
  readonly #notices: TaskNotices
  readonly #assigner: TaskAssigner
  readonly #offers: TaskOffers
  readonly #answers: TaskAnswers
  readonly #failing = new PendingRequests()
  /** Origins of the agents that asked for tasks. */
  readonly #origins: LruMap<AgentId, Origin>
  /** Agents that disconnected while a task of theirs may be on its way to the store. */
  readonly #gone = new WeakSet<Agent>()
  readonly #log: (line: string) => void
  /** Returns the `server_id` of the relay. */
  readonly #serverId: () => string
  #sweepTimer: Timer | undefined

  private constructor(
    queue: Queue,
    ids: Pick<Logs, "append">,
    serverId: () => string,
    { limits, clock, log, delivery, guards }: TaskServiceOptions,
  ) {
    this.#serverId = serverId
    this.#queue = queue
    this.#ids = ids
    this.#limits = limits
    this.#clock = clock
    const workers = new Workers<Agent>((id) => queue.heldBy(id).length > 0)
    const lastHolders = new LruMap<string, LastHolder>(limits.tasks)
    const notices = new TaskNotices(clock, limits.leaseMs, delivery)
    this.#workers = workers
    this.#lastHolders = lastHolders
    this.#notices = notices
    this.#assigner = new TaskAssigner({ queue, workers, lastHolders, notices, clock, limits, log })
    this.#offers = new TaskOffers({ queue, workers, notices })
    this.#answers = new TaskAnswers({ queue, delivery, guards, log })
    this.#origins = new LruMap(limits.tasks)
    this.#log = log
    this.#sweepTimer = repeat(this.#clock, sweepMs, () => this.#endOld())
    queue.listen({
      onAvailable: (task) => (isForPeople(task.topic) ? this.#offers.offer(task) : this.#assigner.add(task)),
      onClaimed: (task, worker) => this.#noteClaim(task, worker as AgentId),
      onReleased: (task, worker) => this.#noteRelease(task, worker as AgentId),
      onOverdue: (task) => void this.#answers.sendOverdue(task),
      onExpired: (task) => void this.#answers.expire(task.id, formatExpiry(task, clock.now())),
      onEnded: (task) => this.#offers.withdraw(task),
    })
  }

  /**
   * Opens the queue of tasks in the store.
   * @throws {ChatError} UNAVAILABLE
   */
  static async open(
    backbone: Pick<Backbone, "table" | "logs" | "id"> & Partial<Pick<Backbone, "isShared">>,
    options: TaskServiceOptions,
  ): Promise<TaskService> {
    const { clock, limits } = options
    const { leaseMs } = limits
    const ids = await backbone.logs("task-id", { maxEntries: 1, whenFull: "drop-oldest" })
    const queue = await Queue.open(await backbone.table("task"), { clock, leaseMs, isValid: isTask })
    const service = new TaskService(queue, ids, () => backbone.id, options)
    // The relay that granted a claim may have ended before it reported it.
    for (const task of queue.claimed()) service.#reportClaimed(task)
    // An asker without a key has left with the relay that had its session.
    if (backbone.isShared === false) {
      for (const task of queue.all())
        if (!persistentIdPattern.test(authorOf(task.id))) void service.#end(task)
    }
    return service
  }

  /** Stops assigning tasks; those in the store stay there. */
  close(): void {
    this.#sweepTimer?.cancel()
    this.#assigner.close()
    this.#queue.close()
  }

  /** Adds an agent that connected, and sends it the tasks whose leases it still has. */
  enter(agent: Agent): void {
    if (!agent.isPersistent) return
    this.update(agent)
    for (const task of this.#queue.heldBy(agent.id)) this.#notices.sendTask(agent, task)
  }

  /** Gives the tasks of an earlier id to the agent that has replaced it. @throws {ChatError} UNAVAILABLE */
  async passOn(from: AgentId, to: AgentId): Promise<void> {
    for (const { id } of this.#queue.heldBy(from)) {
      const task = await this.#queue.passOn(id, from, to)
      const agent = this.#workers.find(to)
      if (task !== undefined && agent !== undefined) this.#notices.sendTask(agent, task)
    }
  }

  /** Gives back the tasks of an agent that will not come back. @throws {ChatError} UNAVAILABLE */
  async giveUp(worker: AgentId): Promise<void> {
    for (const { id } of this.#queue.heldBy(worker)) await this.#queue.giveBack(id, worker)
  }

  /** Takes over a new status or role of a connected agent. */
  update(agent: Agent): void {
    if (!agent.isPersistent) return
    const before = this.#workers.topicFor(agent.id)
    this.#workers.update(agent)
    const after = this.#workers.topicFor(agent.id)
    if (after !== before && after !== undefined && isForPeople(after)) this.#offers.offerAll(agent)
    if (after !== undefined) this.#assigner.schedule(after)
    if (before !== undefined && before !== after) this.#assigner.schedule(before)
  }

  /** Removes an agent that disconnected. Its leases go on, so that it can come back; without a key it cannot. */
  leave(agent: Agent): void {
    if (!agent.isPersistent && this.#origins.has(agent.id)) {
      this.#gone.add(agent)
      for (const task of this.#queue.all()) if (authorOf(task.id) === agent.id) void this.#end(task)
    }
    const topic = this.#workers.remove(agent)
    // Its last holder gets a task back only if no other worker is present, which may be the case now.
    if (topic !== undefined) this.#assigner.schedule(topic)
  }

  /**
   * Queues a message to a role as a task.
   * @throws {ChatError} ID_USED, LIMIT_REACHED, UNAVAILABLE
   */
  async push(agent: Agent, message: ClientMessage<"MSG">, messageId: string): Promise<SentAck> {
    const topic = topicOf(message.to.slice(1))
    const { ttl_s } = message
    const value = formatRequest({ ...message, name: agent.name })
    const { origin } = agent
    const refusal = this.#limitRefusal(topic, value, origin)
    if (refusal !== undefined && !(await this.#queue.knows(messageId))) throw refusal
    this.#origins.set(agent.id, origin)
    const digest = digestOf(message)
    // The queue knows only tasks; the logs know the ids of all messages.
    const noted = await this.#ids.append(idsKey, messageId, "", digest)
    repetition(noted, digest, message)
    const ttlMs = ttl_s === undefined ? undefined : ttl_s * 1_000
    const pushed = await this.#queue.push(topic, messageId, value, digest, ttlMs)
    const task = this.#gone.has(agent) ? this.#queue.find(messageId) : undefined
    if (task !== undefined) void this.#end(task)
    return {
      ts: this.#clock.now(),
      seq: undefined,
      recipients: this.#hasWorkerFor(topic, messageId, agent.id) ? 1 : 0,
      isMember: true,
      hops: 0,
      ...repetition(pushed, digest, message),
    }
  }

  /** Returns the role of a task, in lower case; undefined for one that is not known here. */
  roleOf(id: string): string | undefined {
    return this.#queue.find(id)?.topic
  }

  /** Returns the agents that asked for a task or have one. */
  parties(): Set<string> {
    const ids = new Set<string>()
    for (const { id, worker } of this.#queue.all()) ids.add(authorOf(id)).add(worker ?? "")
    return ids
  }

  /** Lists the tasks of a role; case is ignored. */
  pending(role: string): PendingTasks {
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
   * Lists the tasks of a role, or of all roles, that are not finished, oldest first.
   * @param maySee - reports whether the tasks of a role may be listed
   */
  list(role: string | undefined, maySee: (role: string) => boolean): { list: TaskEntry[]; more?: true } {
    const topic = role === undefined ? undefined : topicOf(role)
    const isListed = (task: QueuedTask) =>
      (topic ?? task.topic) === task.topic && task.worker !== expiryWorker && maySee(task.topic)
    const found = [...this.#queue.all()].filter(isListed).sort((a, b) => a.pushedTs - b.pushedTs)
    const list = found.slice(0, listedTasks).map((task) => formatEntry(task, this.#clock.now()))
    return { list, ...(found.length > list.length && { more: true }) }
  }

  /**
   * Gives a worker a waiting task by id. Returns a task that the worker already has again.
   * @throws {ChatError} IDENTITY_REQUIRED, TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE
   */
  async claim(agent: Agent, id: string): Promise<ServerMessage<"TASK">> {
    if (!agent.isPersistent) {
      throw new ChatError("IDENTITY_REQUIRED", "CLAIM: requires a persistent identity")
    }
    if (authorOf(id) === agent.id) throw new ChatError("TASK_NOT_FOUND", "task: cannot be your own")
    await this.#takeOver(agent, id)
    const task = await this.#queue.fetch(id)
    if (task === undefined) throw this.#refusal(id)
    requirePerson(agent, task.topic)
    if (task.worker === agent.id) return this.#notices.format(agent, task)
    if (task.worker === undefined && this.#isExhausted(task)) {
      // Its failure may be reported already.
      throw new ChatError("TASK_NOT_FOUND", `task: has failed after ${task.attempt} attempts`)
    }
    const release = this.#workers.reserve(agent.id)
    try {
      const claimed = await this.#queue.claim(task.topic, agent.id, id)
      if (claimed !== undefined) {
        this.#notices.reportClaimed(claimed, agent.id)
        return this.#notices.format(agent, claimed)
      }
      // Another relay may have given it to the same worker meanwhile.
      const current = this.#queue.find(id)
      if (current?.worker !== agent.id) throw this.#refusal(id)
      return this.#notices.format(agent, current)
    } finally {
      release()
    }
  }

  #isExhausted({ topic, attempt }: QueuedTask): boolean {
    return !isForPeople(topic) && attempt >= this.#limits.taskAttempts
  }

  /** Restarts the lease. @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE */
  async extend(agent: Agent, id: string): Promise<void> {
    await this.#takeOver(agent, id)
    if (!(await this.#queue.extend(id, agent.id))) throw this.#refusal(id)
  }

  /**
   * Ends a task and sends the answer to its asker, once however often it is called. A task for people that nobody has is
   * taken first.
   * @throws {ChatError} INVALID_MSG, VERIFICATION_FAILED, TASK_NOT_FOUND, LEASE_LOST; MAILBOX_FULL and UNAVAILABLE leave the task with the worker
   */
  async done(agent: Agent, id: string, content: string, { proof, signed }: AnswerProofs = {}): Promise<void> {
    await this.#takeOver(agent, id)
    const task = await this.#queue.fetch(id)
    const isOpen = task !== undefined && isForPeople(task.topic) && task.worker === undefined
    if (isOpen) requirePerson(agent, task.topic)
    const isOwn = isOpen || task?.worker === agent.id
    const options = { worker: agent.id, relay: this.#serverId() }
    const given = { content, proof }
    const answer = task !== undefined && isOwn ? requireAnswer(task, given, options) : { content }
    if (isOpen) await this.claim(agent, id)
    const text = formatAnswer(agent, id, { ...answer, signed }, this.#clock.now())
    await this.#answers.answer(id, agent.id, text, () => this.#refusal(id))
  }

  /**
   * Gives a task back, to wait for the next worker.
   * @throws {ChatError} TASK_NOT_FOUND, LEASE_LOST, UNAVAILABLE
   */
  async fail(agent: Agent, id: string, reason: string | undefined): Promise<void> {
    await this.#takeOver(agent, id)
    const last = this.#lastHolders.peek(id)
    const isRepeated = last?.worker === agent.id && last.hasFailed
    if (isRepeated && this.#queue.find(id)?.worker !== agent.id) return
    const giveBack = async () => {
      if ((await this.#queue.giveBack(id, agent.id)) === undefined) throw this.#refusal(id)
    }
    await this.#failing.once(id, agent.id, giveBack, reason)
  }

  /** Gives an agent a task of an earlier id that {@link passOn} has not reached yet. @throws {ChatError} UNAVAILABLE */
  async #takeOver({ id: worker, formerly }: Agent, id: string): Promise<void> {
    const holder = this.#queue.find(id)?.worker as AgentId | undefined
    if (holder !== undefined && formerly?.includes(holder) === true)
      await this.#queue.passOn(id, holder, worker)
  }

  /** Reports whether a task has a worker, or a free worker of this relay will get it. */
  #hasWorkerFor(topic: string, id: string, asker: AgentId): boolean {
    const task = this.#queue.find(id)
    if (task === undefined) return false
    if (task.worker !== undefined) return true
    if (isForPeople(topic)) return this.#workers.of(topic).some((agent) => agent.id !== asker)
    const position = this.#queue.waiting(topic).findIndex((other) => other.id === id)
    return position < this.#workers.countFree(topic, asker)
  }

  /** Returns the error of one more task for this role, or undefined while there is room. */
  #limitRefusal(topic: string, value: string, origin: Origin): ChatError | undefined {
    const { tasks, taskCharacters, roleTasks, leaseMs } = this.#limits
    const { size } = this.#queue
    const waiting = this.#queue.waiting(topic)
    const details = { retryAfterMs: leaseMs }
    if (size.tasks >= tasks || size.characters + value.length > taskCharacters) {
      return new ChatError("LIMIT_REACHED", "to: the task queue of this relay is full", details)
    }
    if (waiting.length >= roleTasks) {
      return new ChatError(
        "LIMIT_REACHED",
        `to: ${roleTasks} tasks are already waiting for this role`,
        details,
      )
    }
    const hasShare =
      this.#hasShare(waiting, origin, roleTasks) &&
      this.#hasShare(this.#queue.all(), origin, tasks, size.tasks) &&
      this.#hasShareOfCharacters(origin, value.length)
    if (hasShare) return undefined
    return new ChatError(
      "LIMIT_REACHED",
      "to: too many of the waiting tasks are yours, or of your address",
      details,
    )
  }

  /** Returns whether an origin may add one to `tasks`. @param count - how many there are */
  #hasShare(
    tasks: Iterable<QueuedTask>,
    origin: Origin,
    max: number,
    count = Array.isArray(tasks) ? tasks.length : 0,
  ): boolean {
    if (count < max * smallPart) return true
    const share = new FairShare(max, dividedTasks)
    for (const { id } of tasks) share.take(this.#originOf(authorOf(id)))
    return share.fits(origin)
  }

  #hasShareOfCharacters(origin: Origin, characters: number): boolean {
    const { taskCharacters } = this.#limits
    if (this.#queue.size.characters + characters < taskCharacters * smallPart) return true
    const share = new FairShare(taskCharacters, dividedCharacters)
    for (const { id, value } of this.#queue.all()) share.take(this.#originOf(authorOf(id)), value.length)
    return share.fits(origin, characters)
  }

  #originOf(asker: AgentId): Origin {
    return this.#origins.peek(asker) ?? asker
  }

  /** Ends a task whose answer nobody waits for any more. */
  async #end({ id }: QueuedTask, reason?: string): Promise<void> {
    try {
      const task = this.#queue.find(id)
      if (task === undefined || task.answer !== undefined) return
      const last = { worker: task.worker as AgentId | undefined, hasFailed: false, reason }
      const isStored = persistentIdPattern.test(authorOf(id))
      if (reason !== undefined && isStored) await this.#notices.reportFailed(task, last)
      if ((await this.#queue.abandon(id)) === undefined) return
      if (reason !== undefined && !isStored) await this.#notices.reportFailed(task, last)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#log(`tasks: a task for nobody is kept: ${error.code}`)
    }
  }

  #endOld(): void {
    const oldestTs = this.#clock.now() - this.#limits.taskMs
    const reason = `not finished within ${Math.round(this.#limits.taskMs / 86_400_000)} days`
    for (const task of this.#queue.all()) if (task.pushedTs <= oldestTs) void this.#end(task, reason)
  }

  /** Makes the error of a request for a task that is not the requester's. */
  #refusal(id: string): ChatError {
    const task = this.#queue.find(id)
    if ((task?.worker ?? this.#queue.endedBy(id)) === expiryWorker)
      return new ChatError("TASK_NOT_FOUND", "task: has expired; its asker has the news")
    if (task === undefined) return new ChatError("TASK_NOT_FOUND", "task: does not exist")
    if (task.worker === undefined) return new ChatError("LEASE_LOST", "task: is waiting for a worker")
    const verb = task.answer === undefined ? "held" : "answered"
    return new ChatError("LEASE_LOST", `task: is ${verb} by ${task.worker}`)
  }

  /** Sends a task to a worker that claimed it on another relay and has since connected here. */
  #noteClaim(task: QueuedTask, worker: AgentId): void {
    const agent = this.#workers.find(worker)
    if (agent !== undefined) this.#notices.sendTask(agent, task)
    this.#reportClaimed(task)
  }

  /** Reports a claim that this relay did not grant: the one that did may be gone. A mailbox stores it once. */
  #reportClaimed(task: QueuedTask): void {
    const { worker } = task
    if (worker === undefined || worker === expiryWorker) return
    if (!persistentIdPattern.test(authorOf(task.id))) return
    this.#notices.reportClaimed(task, task.worker as AgentId)
  }

  /** Notes that a worker no longer has a task, and sends it TASK_LOST unless it expects that. */
  #noteRelease({ id }: QueuedTask, worker: AgentId): void {
    const task = this.#queue.find(id)
    const failing = this.#failing.find(id, worker)
    if (task === undefined) this.#lastHolders.delete(id)
    else this.#lastHolders.set(id, { worker, hasFailed: failing !== undefined, reason: failing?.reason })
    this.#workers.noteRelease(worker)
    const topic = this.#workers.topicFor(worker)
    if (topic !== undefined) this.#assigner.schedule(topic)
    const isExpected = failing !== undefined || this.#answers.isEnding(id, worker)
    const agent = this.#workers.find(worker)
    if (isExpected || this.#queue.endedBy(id) === worker || agent === undefined) return
    const hasExpired = (task?.worker ?? this.#queue.endedBy(id)) === expiryWorker
    const reason = task === undefined ? "the task ended" : "the lease ended"
    this.#notices.sendLost(agent, id, hasExpired ? "the task expired" : reason)
  }
}
