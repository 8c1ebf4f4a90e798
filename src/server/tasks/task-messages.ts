import type { QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { type AnswerProof, isAnswerOf, questionDigest } from "../../identity/answer-signature.js"
import { answerIdOf } from "../../identity/message-signature.js"
import { checkAnswer } from "../../protocol/answer-check.js"
import { ChatError } from "../../protocol/errors.js"
import type { MessageProof } from "../../protocol/message-fields.js"
import { authorOf, mailEntryId } from "../../protocol/message-id.js"
import {
  type AgentId,
  type AgentRef,
  agentRefPattern,
  type Nick,
  nickPattern,
  persistentIdPattern,
} from "../../protocol/names.js"
import { isQuestion, type Question } from "../../protocol/questions.js"
import { anyObject, list, matching, object, optional, parseAs, string } from "../../protocol/schema.js"
import type { ServerMessage, TaskEntry } from "../../protocol/server-messages.js"
import type { DirectDelivery } from "../delivery/direct-delivery.js"
import { formatMessage, timelySignature } from "../delivery/message-json.js"
import type { Agent } from "../sessions/agent.js"

/** The part of a message to a role that the queue keeps. */
interface Request extends Question {
  readonly name: Nick
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
  /** The answer that is given at the expiry. */
  readonly default?: string | undefined
  readonly in_reply_to?: string | undefined
  readonly kind?: string | undefined
  readonly signed?: Readonly<Record<string, unknown>> | undefined
}

/** Has a task that expired, until its asker knows. */
export const expiryWorker = "expiry"

const requestSchema = object({
  name: matching<Nick>(nickPattern, "must be a name"),
  content: string,
  parts: optional(list<unknown, unknown>(anyObject())),
  choices: optional(list(string)),
  schema: optional(anyObject()),
  default: optional(string),
  in_reply_to: optional(string),
  kind: optional(string),
  signed: optional(anyObject()),
})

/** Reports whether a row of the queue is a task as {@link formatRequest} writes it. */
export function isTask({ id, value, worker }: QueuedTask): boolean {
  const hasAuthor = agentRefPattern.test(authorOf(id))
  const hasWorker = worker === undefined || worker === expiryWorker || persistentIdPattern.test(worker)
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

/** Characters of a task's text that TASKS has. */
const shownCharacters = 4_000

/** Formats a request for the queue. */
export function formatRequest(request: Request): string {
  const { name, content, parts, choices, schema, default: fallback, in_reply_to, kind, signed } = request
  const given = parts !== undefined && parts.length > 0 ? parts : undefined
  const question = { choices, schema, default: fallback }
  return JSON.stringify({ name, content, parts: given, ...question, in_reply_to, kind, signed })
}

/** Returns the request of a task; the queue has only tasks that passed {@link isTask}. */
function requestOf({ value }: Pick<QueuedTask, "value">): Request {
  return JSON.parse(value) as Request
}

function questionOf(task: QueuedTask) {
  const { choices, schema, default: fallback } = requestOf(task)
  return omitUndefined({ choices, schema, default: fallback, expires_ts: task.expiresTs })
}

/** Formats a task as TASKS lists it. */
export function formatEntry(task: QueuedTask, now: number): TaskEntry {
  const { id, topic, attempt, pushedTs, worker, leaseUntil } = task
  const { name, content } = requestOf(task)
  const base = { task: id, role: topic, from: authorOf(id), name, content: content.slice(0, shownCharacters) }
  const lease = leaseUntil === undefined ? {} : { lease_ms: Math.max(0, leaseUntil - now) }
  return {
    ...base,
    attempt,
    ts: pushedTs,
    ...questionOf(task),
    ...(worker !== undefined && { worker, ...lease }),
  }
}

/** Formats the answer of a worker as the MSG its asker receives. */
export function formatAnswer(
  worker: Agent,
  taskId: string,
  { content, proof, signed }: Answer & AnswerProofs,
  ts: number,
): string {
  const to = authorOf(taskId)
  const message = {
    type: "MSG",
    to: to as string as AgentRef,
    content,
    in_reply_to: taskId,
    kind: "inform",
    ...omitUndefined({ signed: timelySignature(signed, ts) }),
  } as const
  const ack = { ts, seq: undefined, recipients: 0, isMember: true, hops: 1 }
  const text = formatMessage(worker.messagePrefix, to, message, answerIdOf(worker.id, taskId), ack)
  return proof === undefined ? text : `${text.slice(0, -1)},"answer":${JSON.stringify(proof)}}`
}

/** Formats the notice of an expiry, with the default answer, for the asker. */
export function formatExpiry(task: QueuedTask, ts: number): string {
  const { id, topic } = task
  const answer = requestOf(task).default
  const notice: ServerMessage<"TASK_EXPIRED"> = {
    ...{ type: "TASK_EXPIRED", task: id, role: topic, ts, msg_id: mailEntryId.expiry(id) },
    ...omitUndefined({ answer }),
  }
  return JSON.stringify(notice)
}

/**
 * Checks the answer to a task.
 * @param relay - its `server_id`
 * @returns the answer as it counts
 * @throws {ChatError} INVALID_MSG, VERIFICATION_FAILED
 */
export function requireAnswer(
  task: QueuedTask,
  { content, proof }: Answer,
  { worker, relay }: { readonly worker: AgentId; readonly relay: string },
): Answer {
  const request = requestOf(task)
  if (!isQuestion(request, task.topic)) return { content }
  const answer = checkAnswer(request, content)
  const hint = "answer with a client that signs: agentchat task done TASK ANSWER"
  if (proof === undefined)
    throw new ChatError("VERIFICATION_FAILED", "answer: this task needs a signed answer", { hint })
  if (proof.question !== questionDigest({ ...request, role: task.topic }))
    throw new ChatError("VERIFICATION_FAILED", "answer.question: is the digest of another question", { hint })
  if (!isAnswerOf({ aud: relay, task: task.id, answer: content }, proof, worker))
    throw new ChatError("VERIFICATION_FAILED", "answer.sig: is not your signature of this answer", { hint })
  if (answer !== content)
    throw new ChatError("INVALID_MSG", "content: must be spelled like the choice", {
      hint: `answer ${answer}`,
    })
  return { content, proof }
}

/** An answer to a task, as DONE carries it. */
export interface Answer {
  readonly content: string
  readonly proof?: AnswerProof | undefined
}

/** The signatures of an answer: of what it answers, and of the message to the agent that asked. */
export interface AnswerProofs extends Pick<Answer, "proof"> {
  readonly signed?: MessageProof | undefined
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
  format({ memory }: Agent, task: QueuedTask): ServerMessage<"TASK"> {
    memory.delivered.add(task.id)
    return this.#format(task)
  }

  #format(task: QueuedTask): ServerMessage<"TASK"> {
    const { id, topic, attempt, leaseUntil } = task
    const { name, content, parts, in_reply_to, kind, signed } = requestOf(task)
    const ts = this.#clock.now()
    const leftMs = (leaseUntil ?? ts) - ts
    return {
      type: "TASK",
      task: id,
      role: topic,
      from: authorOf(id),
      name,
      content,
      ...omitUndefined({ parts, in_reply_to, kind, signed }),
      lease_ms: Math.min(this.#leaseMs, Math.max(0, leftMs)),
      attempt,
      ts,
      ...questionOf(task),
    }
  }

  /** Offers a task that nobody has. */
  sendOffer(agent: Agent, task: QueuedTask): void {
    agent.send({ ...this.#format(task), offered: true })
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
