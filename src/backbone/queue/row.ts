import { createHash } from "node:crypto"

/** A task as it stands. */
export interface QueuedTask {
  readonly id: string
  readonly topic: string
  readonly value: string
  /** How often it was claimed: 0 while nobody had it, 1 during the first claim. */
  readonly attempt: number
  /** When it was pushed, in milliseconds since the Unix epoch. */
  readonly pushedTs: number
  /** Who has it; absent while it waits. */
  readonly worker?: string
  /** When the claim ends unless it is extended, by the clock of the relay that gave it. */
  readonly leaseUntil?: number
  /** What the worker found out; it is still to be told, and the task to be ended. */
  readonly answer?: string
}

/** What a row of a queue's table says: a task that stands, or the memory of one that ended. */
export interface QueueRow {
  readonly id: string
  /** Undefined once it ended. */
  readonly task: QueuedTask | undefined
  /** When it ended, in milliseconds since the Unix epoch. */
  readonly endedTs?: number
  /** Who ended it; absent when it was removed. */
  readonly endedBy?: string
}

/** The key of a task's row: ids hold what keys may not. */
export function rowKey(id: string): string {
  return createHash("sha256").update(id).digest("base64url")
}

/** The row of a task that stands. */
export function writeTask(task: QueuedTask): string {
  return JSON.stringify(task)
}

/** The row that remembers a task that ended, so that it is not pushed a second time. */
export function writeEnd(id: string, endedTs: number, endedBy?: string): string {
  return JSON.stringify({ id, endedTs, endedBy })
}

/** Undefined when `text` is no row of a queue. */
export function readRow(text: string): QueueRow | undefined {
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
