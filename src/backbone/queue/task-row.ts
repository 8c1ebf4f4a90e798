import { createHash } from "node:crypto"

/** A task of a queue. */
export interface QueuedTask {
  readonly id: string
  readonly topic: string
  readonly value: string
  /** Number of claims so far: 1 during the first claim. */
  readonly attempt: number
  /** When it was pushed, in milliseconds since the Unix epoch. */
  readonly pushedTs: number
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
export function formatEndRow(id: string, endedTs: number, endedBy?: string): string {
  return JSON.stringify({ id, endedTs, endedBy })
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
  if (typeof endedTs === "number") {
    return { id, task: undefined, endedTs, ...(typeof endedBy === "string" && { endedBy }) }
  }
  if (typeof topic !== "string" || typeof value !== "string") return undefined
  if (typeof attempt !== "number" || typeof pushedTs !== "number") return undefined
  const waiting = { id, topic, value, attempt, pushedTs }
  if (typeof worker !== "string" || typeof leaseUntil !== "number") return { id, task: waiting }
  const claimed = { ...waiting, worker, leaseUntil }
  return { id, task: typeof answer === "string" ? { ...claimed, answer } : claimed }
}
