import type { Queue, QueuedTask } from "../../backbone/queue/queue.js"
import { ChatError } from "../../protocol/errors.js"
import { authorOf } from "../../protocol/message-id.js"
import { humanRole } from "../../protocol/questions.js"
import type { Agent } from "../sessions/agent.js"
import { expiryWorker, type TaskNotices } from "./task-messages.js"
import { topicOf, type Workers } from "./workers.js"

/** Tasks offered to somebody who connects; the others are in LIST_TASKS. */
const maxOffered = 100

/** The services that offers use. */
interface TaskOffersOptions {
  readonly queue: Queue
  readonly workers: Workers<Agent>
  readonly notices: TaskNotices
}

/** Offers the tasks for people to everybody with the role `human`. A person may be away, so nobody gets a lease. */
export class TaskOffers {
  readonly #options: TaskOffersOptions

  constructor(options: TaskOffersOptions) {
    this.#options = options
  }

  /** Offers a task that waits. */
  offer(task: QueuedTask): void {
    const { workers, notices } = this.#options
    for (const agent of workers.of(task.topic)) this.#send(agent, task, notices)
  }

  /** Offers what waits to an agent that has just got the role. */
  offerAll(agent: Agent): void {
    const { queue, notices } = this.#options
    for (const task of queue.waiting(humanRole).slice(0, maxOffered)) this.#send(agent, task, notices)
  }

  /** Takes back the offer of a task that has ended. */
  withdraw({ id, topic }: QueuedTask): void {
    if (topic !== humanRole) return
    const { queue, workers, notices } = this.#options
    const by = queue.endedBy(id)
    const reason =
      by === expiryWorker
        ? "the task expired"
        : by === undefined
          ? "the task ended"
          : `the task was answered by ${by}`
    for (const agent of workers.of(topic)) {
      if (agent.id !== by && agent.id !== authorOf(id)) notices.sendLost(agent, id, reason)
    }
  }

  #send(agent: Agent, task: QueuedTask, notices: TaskNotices): void {
    if (authorOf(task.id) !== agent.id) notices.sendOffer(agent, task)
  }
}

/** Reports whether the tasks of a role are offered to people instead of being assigned to workers. */
export function isForPeople(topic: string): boolean {
  return topic === humanRole
}

/** @throws {ChatError} FORBIDDEN for an agent without the role that takes a task for people */
export function requirePerson({ role }: { readonly role?: string | undefined }, topic: string): void {
  if (!isForPeople(topic) || (role !== undefined && isForPeople(topicOf(role)))) return
  throw new ChatError("FORBIDDEN", `task: is for people, and your role is not ${humanRole}`, {
    hint: `if a person decides here, set the role ${humanRole}: agentchat presence idle --role ${humanRole}`,
  })
}
