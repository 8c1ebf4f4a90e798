import type { Clock, Timer } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import type { Connection } from "../../client/connection.js"
import { ChatError, errorSpecs } from "../../protocol/errors.js"
import type { DaemonMemory, LeasedTask } from "./daemon-memory.js"

/** A lease is renewed when this part of it is over. */
const renewAt = 1 / 3
/** Milliseconds between two renewals at least: of a lease that was nearly over when it was told, only the rest is known. */
const leastMs = 300
/** Milliseconds until a renewal that could not be carried out is tried again. */
const retryMs = 2_000
/** Tasks that are over and still known, so that their end is told once. */
const rememberedEnds = 256

interface HeldTask extends LeasedTask {
  /** Monotonic time of the next renewal. */
  dueMs: number
}

/** What the tasks need of their daemon. */
export interface TaskEvents {
  /** Only an agent that says it works keeps its tasks. */
  isWorking(): boolean
  /** The relay refused to renew: another worker has the task, or nobody. */
  onLost(task: string, reason: string): void
}

/** The tasks this agent has a lease of. Renews each for as long as the agent says it works. */
export class LeasedTasks {
  readonly #memory: DaemonMemory
  readonly #clock: Clock
  readonly #events: TaskEvents
  readonly #held = new Map<string, HeldTask>()
  readonly #over = new LruMap<string, true>(rememberedEnds)
  #connection: Pick<Connection, "request"> | undefined
  #timer: Timer | undefined

  constructor(memory: DaemonMemory, clock: Clock, events: TaskEvents) {
    this.#memory = memory
    this.#clock = clock
    this.#events = events
    // What is left of the lease nobody knows after a restart: renewed at once.
    for (const task of memory.tasks) this.#held.set(task.task, { ...task, dueMs: clock.monotonic() })
  }

  get ids(): readonly string[] {
    return [...this.#held.keys()]
  }

  /** A session is there to renew on. */
  attach(connection: Pick<Connection, "request">): void {
    this.#connection = connection
    this.#schedule()
  }

  /** The session is gone; the leases run on. */
  detach(): void {
    this.#connection = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** The relay gave us a task, or told again that we have it, and what is left of the lease. */
  hold({ task, lease_ms: leftMs }: LeasedTask): void {
    const lease_ms = Math.max(1, leftMs, this.#held.get(task)?.lease_ms ?? 0)
    this.#over.delete(task)
    this.#held.set(task, { task, lease_ms, dueMs: this.#clock.monotonic() + leftMs * renewAt })
    this.#save()
    this.#schedule()
  }

  /** The task is done, given back or lost. @returns false when that was known */
  end(task: string): boolean {
    const isHeld = this.#held.delete(task)
    if (isHeld) this.#save()
    if (this.#over.has(task)) return false
    this.#over.set(task, true)
    return true
  }

  /** The agent said what it does now. */
  onPresence(): void {
    this.#schedule()
  }

  #save(): void {
    this.#memory.note({ tasks: [...this.#held.values()].map(({ task, lease_ms }) => ({ task, lease_ms })) })
  }

  /** One timer for the task that is due first; none while nothing is to be renewed. */
  #schedule(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#connection === undefined || this.#held.size === 0 || !this.#events.isWorking()) return
    let firstMs = Infinity
    for (const { dueMs } of this.#held.values()) firstMs = Math.min(firstMs, dueMs)
    const waitMs = Math.max(0, firstMs - this.#clock.monotonic())
    this.#timer = this.#clock.setTimer(() => {
      this.#renewDue()
    }, waitMs)
  }

  #renewDue(): void {
    const nowMs = this.#clock.monotonic()
    for (const held of this.#held.values()) {
      if (held.dueMs > nowMs) continue
      held.dueMs = nowMs + Math.max(leastMs, held.lease_ms * renewAt)
      void this.#renew(held)
    }
    this.#schedule()
  }

  async #renew(held: HeldTask): Promise<void> {
    const { task } = held
    try {
      await this.#connection?.request({ type: "EXTEND", task })
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (this.#held.get(task) !== held) return
      if (errorSpecs[error.code].retry) {
        held.dueMs = Math.min(held.dueMs, this.#clock.monotonic() + retryMs)
        this.#schedule()
      } else if (this.end(task)) {
        this.#events.onLost(task, error.message)
      }
    }
  }
}
