import type { Clock, Timer } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import type { Connection } from "../../client/connection.js"
import { ChatError, errorSpecs } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Inbox } from "../inbox/inbox.js"
import { lostTaskLine } from "../inbox/message-to-line.js"
import type { DaemonMemory, LeasedTask } from "./daemon-memory.js"
import type { Presence } from "./presence.js"

/** Fraction of a lease after which it is renewed. */
const renewAt = 1 / 3
/** Minimum milliseconds between two renewals: the known lease may be only a short remainder. */
const leastMs = 300
/** Milliseconds until a failed renewal is tried again. */
const retryMs = 2_000
/** Leases held at which a task that the relay assigns is dropped; it gives it to another worker later. */
const maxHeld = 1_000
/** Offered tasks whose questions are remembered; an older one has to be claimed before it is answered. */
const maxOffers = 200
/** Ended tasks that are remembered, so that each end is reported once. */
const rememberedEnds = 256

interface HeldTask extends LeasedTask {
  /** Monotonic time of the next renewal. */
  dueMs: number
}

/** Options of {@link LeasedTasks}. */
export interface LeasedTasksOptions {
  readonly memory: DaemonMemory
  readonly clock: Clock
  /** Leases are renewed only while the agent is working. */
  readonly presence: Pick<Presence, "isWorking">
  /** Gets a TASK_LOST line for each task that ended without the agent ending it. */
  readonly inbox: Pick<Inbox, "append">
  readonly log: (line: string) => void
}

/** The tasks this agent holds a lease of. Renews the leases while the agent's presence is `working`. */
export class LeasedTasks {
  readonly #options: LeasedTasksOptions
  readonly #clock: Clock
  readonly #held = new Map<string, HeldTask>()
  readonly #offers: Map<string, string>
  readonly #ended = new LruMap<string, true>(rememberedEnds)
  #connection: Pick<Connection, "request"> | undefined
  #timer: Timer | undefined

  constructor(options: LeasedTasksOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#offers = new Map(Object.entries(options.memory.state.offers))
    // After a restart the remaining time is unknown: renew at once.
    for (const task of options.memory.state.tasks) {
      this.#held.set(task.task, { ...task, dueMs: this.#clock.monotonic() })
    }
  }

  get ids(): readonly string[] {
    return [...this.#held.keys()]
  }

  /** Renews leases on this session from now on. */
  attach(connection: Pick<Connection, "request">): void {
    this.#connection = connection
    this.#schedule()
  }

  /** Ends the session; the leases continue. */
  detach(): void {
    this.#connection = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Reports whether a TASK is taken that nothing asked for. */
  expects(task: string): boolean {
    return this.#held.has(task) || this.#held.size < maxHeld
  }

  /** Handles TASK: a new lease, or the remaining time of a known one. */
  hold({ lease_ms: leftMs, ...task }: LeasedTask): void {
    const lease_ms = Math.max(1, leftMs, this.#held.get(task.task)?.lease_ms ?? 0)
    this.#ended.delete(task.task)
    this.#held.set(task.task, { ...task, lease_ms, dueMs: this.#clock.monotonic() + leftMs * renewAt })
    this.#save()
    this.#schedule()
  }

  /** Handles the TASK of a task that is offered. @param question - the digest of its question */
  offer(task: string, question: string): void {
    this.#ended.delete(task)
    this.#offers.delete(task)
    this.#offers.set(task, question)
    const [oldest] = this.#offers.keys()
    if (this.#offers.size > maxOffers && oldest !== undefined) this.#offers.delete(oldest)
    this.#options.memory.note({ offers: Object.fromEntries(this.#offers) })
  }

  /** Returns the digest of the question of a task; undefined if its answer needs no signature, or it is not known here. */
  questionOf(task: string): string | undefined {
    return this.#held.get(task)?.question ?? this.#offers.get(task)
  }

  /** Forgets a task that is done, given back or lost. @returns false if its end was known */
  end(task: string): boolean {
    if (this.#held.delete(task)) this.#save()
    if (this.#offers.delete(task)) this.#options.memory.note({ offers: Object.fromEntries(this.#offers) })
    if (this.#ended.has(task)) return false
    this.#ended.set(task, true)
    return true
  }

  /** Handles TASK_LOST. */
  onLost({ task, reason, ts }: ServerMessage<"TASK_LOST">): void {
    if (this.end(task)) this.#options.inbox.append(lostTaskLine(task, reason, ts))
  }

  /** Handles a presence that the agent set. */
  onPresence(): void {
    this.#schedule()
  }

  #save(): void {
    const tasks = Array.from(this.#held.values(), ({ dueMs: _dueMs, ...task }) => task)
    this.#options.memory.note({ tasks })
  }

  /** Sets the one timer to the earliest renewal; no timer while nothing is to be renewed. */
  #schedule(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const { presence } = this.#options
    if (this.#connection === undefined || this.#held.size === 0 || !presence.isWorking) return
    const firstMs = Math.min(...Array.from(this.#held.values(), ({ dueMs }) => dueMs))
    const waitMs = Math.max(0, firstMs - this.#clock.monotonic())
    this.#timer = this.#clock.setTimer(() => this.#renewDue(), waitMs)
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
        return
      }
      if (!this.end(task)) return
      this.#options.log(`task lost: ${task}: ${error.message}`)
      this.#options.inbox.append(lostTaskLine(task, error.message, this.#clock.now()))
    }
  }
}
