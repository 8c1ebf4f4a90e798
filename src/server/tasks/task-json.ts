import { createHash } from "node:crypto"
import type { QueuedTask } from "../../backbone/queue/queue.js"
import { authorOf, taskAnswerId } from "../../protocol/message-id.js"
import type { AgentId, Nick } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"

/** What is kept of a request for work. */
interface Request {
  readonly name: Nick
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
}

const digestCharacters = 22

/** A request as the queue keeps it. */
export function writeRequest({ name, content, parts }: Request): string {
  return JSON.stringify({ name, content, ...(parts !== undefined && parts.length > 0 && { parts }) })
}

/** TASK as its worker reads it. `leaseMs`: what is left of the lease. */
export function formatTask(
  { id, topic, value, attempt }: QueuedTask,
  { leaseMs, ts }: { leaseMs: number; ts: number },
): ServerMessage<"TASK"> {
  const { name, content, parts } = JSON.parse(value) as Request
  return {
    type: "TASK",
    task: id,
    role: topic,
    from: authorOf(id),
    name,
    content,
    ...(parts !== undefined && { parts }),
    lease_ms: leaseMs,
    attempt,
    ts,
  }
}

/** The id of the message that answers a task: the same however often its worker says DONE. */
export function answerIdOf(worker: AgentId, taskId: string): string {
  const digest = createHash("sha256").update(taskId).digest("base64url").slice(0, digestCharacters)
  return taskAnswerId(worker, digest)
}
