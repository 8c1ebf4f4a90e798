import type { Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory-backbone.js"
import { Queue, type QueuedTask, type QueueListener } from "../../src/backbone/queue/queue.js"
import type { FakeClock } from "../kit/fake-clock.js"

export const leaseMs = 60_000

export async function openTable(clock: FakeClock): Promise<Table> {
  const backbone = await openMemoryBackbone({ clock })
  return await backbone.table("task")
}

/** Opens a queue and reports its changes to `listener`. */
export async function openQueue(
  table: Table,
  clock: FakeClock,
  listener: Partial<QueueListener> = {},
): Promise<Queue> {
  const queue = await Queue.open(table, { clock, leaseMs })
  queue.listen({ onAvailable: () => {}, ...listener })
  return queue
}

/** Waits until everything has finished that needs no timer. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

/** Claims the oldest task of a topic that no other worker claims first. */
export async function claimOldest(
  queue: Queue,
  topic: string,
  worker: string,
): Promise<QueuedTask | undefined> {
  for (const { id } of queue.waiting(topic)) {
    const task = await queue.claim(topic, worker, id)
    if (task !== undefined) return task
  }
  return undefined
}
