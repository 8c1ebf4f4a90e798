import { createHash } from "node:crypto"
import type { QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock } from "../../base/clock.js"
import { authorOf, mailEntryId, taskAnswerId } from "../../protocol/message-id.js"
import {
  type AgentId,
  type AgentRef,
  agentRefPattern,
  type Nick,
  nickPattern,
  persistentIdPattern,
} from "../../protocol/names.js"
import { anyObject, list, matching, object, optional, parseAs, string } from "../../protocol/schema.js"
import type { ServerMessage, TaskEntry } from "../../protocol/server-messages.js"
import type { DirectDelivery } from "../delivery/direct-delivery.js"
import { formatMessage } from "../delivery/message-json.js"
import type { Agent } from "../sessions/agent.js"

/** The part of a message to a role that the queue keeps. */
interface Request {
  readonly name: Nick
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
}

const requestSchema = object({
  name: matching<Nick>(nickPattern, "must be a name"),
  content: string,
  parts: optional(list<unknown, unknown>(anyObject())),
})

/** Reports whether a row of the queue is a task as {@link formatRequest} writes it. */
export function isTask({ id, value, worker }: QueuedTask): boolean {
  const hasAuthor = agentRefPattern.test(authorOf(id))
  const hasWorker = worker === undefined || persistentIdPattern.test(worker)
  return hasAuthor && hasWorker && parseAs(requestSchema, value) !== undefined
}

/** A worker that lost a task without finishing it. */
export interface LastHolder {
  readonly worker: AgentId | undefined
  /** True if it sent FAIL, false if its lease ended. */
  readonly hasFailed: boolean
  /** The reason its FAIL gave. */
  readonly reason: string | undefined
}

const digestCharacters = 22
/** Characters of a task's text that TASKS has. */
const shownCharacters = 4_000

/** Formats a request for the queue. */
export function formatRequest({ name, content, parts }: Request): string {
  return JSON.stringify({ name, content, ...(parts !== undefined && parts.length > 0 && { parts }) })
}

/** Formats a task as TASKS lists it. */
export function formatEntry(
  { id, topic, value, attempt, pushedTs, worker, leaseUntil }: QueuedTask,
  now: number,
): TaskEntry {
  const { name, content } = JSON.parse(value) as Request
  const base = { task: id, role: topic, from: authorOf(id), name, content: content.slice(0, shownCharacters) }
  const lease = leaseUntil === undefined ? {} : { lease_ms: Math.max(0, leaseUntil - now) }
  return {
    ...base,
    attempt,
    ts: pushedTs,
    ...(worker !== undefined && { worker: worker as AgentId, ...lease }),
  }
}

/** Formats the answer of a worker as the MSG its asker receives. */
export function formatAnswer(worker: Agent, taskId: string, content: string, ts: number): string {
  const to = authorOf(taskId)
  const message = {
    type: "MSG",
    to: to as string as AgentRef,
    content,
    in_reply_to: taskId,
    kind: "inform",
  } as const
  const ack = { ts, seq: undefined, recipients: 0, isMember: true, hops: 1 }
  return formatMessage(worker.messagePrefix, to, message, answerIdOf(worker.id, taskId), ack)
}

/** Returns the message id of an answer: always the same, however often the worker sends DONE. */
export function answerIdOf(worker: AgentId, taskId: string): string {
  const digest = createHash("sha256").update(taskId).digest("base64url").slice(0, digestCharacters)
  return taskAnswerId(worker, digest)
}

/** Sends workers their tasks, and reports the state of a task to its asker. */
export class TaskNotices {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #delivery: Pick<DirectDelivery, "notify">

  constructor(clock: Clock, leaseMs: number, delivery: Pick<DirectDelivery, "notify">) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#delivery = delivery
  }

  /** Formats TASK for a worker, with the time that is left of the lease. */
  format({ memory }: Agent, { id, topic, value, attempt, leaseUntil }: QueuedTask): ServerMessage<"TASK"> {
    memory.delivered.add(id)
    // The queue has only tasks that passed isTask.
    const { name, content, parts } = JSON.parse(value) as Request
    const ts = this.#clock.now()
    const leftMs = (leaseUntil ?? ts) - ts
    return {
      type: "TASK",
      task: id,
      role: topic,
      from: authorOf(id),
      name,
      content,
      ...(parts !== undefined && { parts }),
      lease_ms: Math.min(this.#leaseMs, Math.max(0, leftMs)),
      attempt,
      ts,
    }
  }

  sendTask(worker: Agent, task: QueuedTask): void {
    worker.send(this.format(worker, task))
  }

  sendLost(worker: Agent, task: string, reason: string): void {
    worker.send({ type: "TASK_LOST", task, reason, ts: this.#clock.now() })
  }

  /** Reports to the asker that a worker has the task. */
  reportClaimed({ id, attempt }: QueuedTask, by: AgentId): void {
    const notice = { type: "DELIVERY", msg_id: id, state: "claimed", by, ts: this.#clock.now() } as const
    void this.#delivery.notify(authorOf(id), mailEntryId.delivery(id, "claimed", String(attempt)), notice)
  }

  /** Reports to the asker that the task has used up its attempts. Resolves when the store has that. */
  async reportFailed({ id, topic, attempt }: QueuedTask, last: LastHolder | undefined): Promise<void> {
    await this.#delivery.notify(authorOf(id), mailEntryId.delivery(id, "failed", ""), {
      type: "DELIVERY",
      msg_id: id,
      state: "failed",
      by: last?.worker ?? `+${topic}`,
      ts: this.#clock.now(),
      reason: last?.reason ?? `not finished in ${attempt} tries`,
    })
  }
}
