import type { Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory.js"
import type { Queue, QueuedTask, QueueEvents } from "../../src/backbone/queue/queue.js"
import type { FakeClock } from "../kit/fake-clock.js"

export const leaseMs = 60_000
export const deaf: QueueEvents = { onAvailable: () => {} }

export async function openTable(clock: FakeClock): Promise<Table> {
  const backbone = await openMemoryBackbone({ clock })
  return await backbone.table("task")
}

/** Lets everything that was started and needs no timer come to its end. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

/** Claims the oldest task of a topic that nobody is faster to claim. */
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
