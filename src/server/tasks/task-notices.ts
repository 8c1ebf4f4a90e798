import type { QueuedTask } from "../../backbone/queue/queue.js"
import type { Clock } from "../../base/clock.js"
import { authorOf } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import type { LastHolder } from "./last-holders.js"
import { formatTask } from "./task-json.js"

/** Tells an agent, wherever it is, what became of its message. */
export type Notify = (to: AgentId, news: ServerMessage<"DELIVERY">) => void

/** What workers and askers hear of tasks. */
export class TaskNotices {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #notify: Notify

  constructor(clock: Clock, leaseMs: number, notify: Notify) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#notify = notify
  }

  /** TASK, with what is left of the lease. */
  format(task: QueuedTask): ServerMessage<"TASK"> {
    const ts = this.#clock.now()
    const leftMs = (task.leaseUntil ?? ts) - ts
    return formatTask(task, { leaseMs: Math.min(this.#leaseMs, Math.max(0, leftMs)), ts })
  }

  tellWorker(agent: Agent, task: QueuedTask): void {
    agent.send(this.format(task))
  }

  tellLost(agent: Agent, task: string, reason: string): void {
    agent.send({ type: "TASK_LOST", task, reason, ts: this.#clock.now() })
  }

  tellClaimed({ id }: QueuedTask, by: AgentId): void {
    this.#notify(authorOf(id), {
      type: "DELIVERY",
      msg_id: id,
      state: "claimed",
      by,
      ts: this.#clock.now(),
    })
  }

  tellGivenUp({ id, topic, attempt }: QueuedTask, last: LastHolder | undefined): void {
    const reason = last?.reason ?? `not finished in ${attempt} tries`
    this.#notify(authorOf(id), {
      type: "DELIVERY",
      msg_id: id,
      state: "failed",
      by: last?.worker ?? `+${topic}`,
      ts: this.#clock.now(),
      reason,
    })
  }
}
