import type { AgentId } from "../../protocol/names.js"

/** The properties of an agent that decide whether it gets tasks. */
export interface Worker {
  readonly id: AgentId
  readonly role?: string | undefined
  readonly status: string
}

/** Agents that must not, or should not, get a task. */
interface Exclusions {
  /** The author of the task, which never gets it. */
  readonly asker: AgentId
  /** The last worker that did not finish it, which gets it only if there is no other. */
  readonly last?: AgentId | undefined
}

interface Entry<W extends Worker> {
  worker: W
  topic: string | undefined
  isReady: boolean
  /** The lowest number has been idle the longest. */
  turn: number
  /** Number of tasks being claimed for it right now. */
  reservations: number
}

/** Returns the topic of a role: its name in lower case. */
export function topicOf(role: string): string {
  return role.toLowerCase()
}

/**
 * The workers connected to this relay, by topic. The next task of a topic goes to the worker that has been idle the
 * longest: its status is `idle` or `waiting`, and it has no task.
 */
export class Workers<W extends Worker = Worker> {
  readonly #holds: (id: AgentId) => boolean
  readonly #entries = new Map<AgentId, Entry<W>>()
  readonly #byTopic = new Map<string, Set<Entry<W>>>()
  #turns = 0

  /** @param holds - reports whether an agent has a task now */
  constructor(holds: (id: AgentId) => boolean) {
    this.#holds = holds
  }

  /** Adds a worker, or takes over its new status and role. */
  update(worker: W): void {
    const topic = worker.role === undefined ? undefined : topicOf(worker.role)
    const isReady = isReadyFor(worker)
    const entry = this.#entries.get(worker.id)
    if (entry === undefined) {
      const added = { worker, topic, isReady, turn: this.#turns++, reservations: 0 }
      this.#entries.set(worker.id, added)
      this.#index(added)
      return
    }
    if ((isReady && !entry.isReady) || entry.topic !== topic) entry.turn = this.#turns++
    this.#unindex(entry)
    Object.assign(entry, { worker, topic, isReady })
    this.#index(entry)
  }

  /** Removes a worker, unless it has connected again since. @returns its topic */
  remove(worker: W): string | undefined {
    const entry = this.#entries.get(worker.id)
    if (entry?.worker !== worker) return undefined
    this.#entries.delete(worker.id)
    this.#unindex(entry)
    return entry.topic
  }

  find(id: AgentId): W | undefined {
    return this.#entries.get(id)?.worker
  }

  /** Returns the topic of a worker. */
  topicFor(id: AgentId): string | undefined {
    return this.#entries.get(id)?.topic
  }

  /** Puts a worker that lost a task at the end of the line. */
  noteRelease(id: AgentId): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) entry.turn = this.#turns++
  }

  /** Keeps a worker from being picked during a claim. @returns a function to call once when the claim is over */
  reserve(id: AgentId): () => void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return () => {}
    entry.reservations++
    return () => {
      entry.reservations--
    }
  }

  /** Returns the worker for the next task of a topic, or undefined if the task has to wait. */
  pick(topic: string, { asker, last }: Exclusions): W | undefined {
    const fit = [...(this.#byTopic.get(topic) ?? [])].filter(({ worker }) => worker.id !== asker)
    const others = fit.filter(({ worker }) => worker.id !== last)
    const next = this.#longestIdle(others)
    if (next !== undefined || others.some(({ worker }) => isPresent(worker))) return next
    return this.#longestIdle(fit)
  }

  /** Returns the agents of a topic, free or not. */
  of(topic: string): W[] {
    return Array.from(this.#byTopic.get(topic) ?? [], ({ worker }) => worker)
  }

  /** Returns how many workers could take a task of a topic right now. */
  countFree(topic: string, asker?: AgentId): number {
    let count = 0
    for (const entry of this.#byTopic.get(topic) ?? []) {
      if (entry.worker.id !== asker && this.#isFree(entry)) count++
    }
    return count
  }

  #longestIdle(entries: readonly Entry<W>[]): W | undefined {
    let best: Entry<W> | undefined
    for (const entry of entries) {
      if ((best === undefined || entry.turn < best.turn) && this.#isFree(entry)) best = entry
    }
    return best?.worker
  }

  #isFree({ worker, reservations }: Entry<W>): boolean {
    return reservations === 0 && isReadyFor(worker) && !this.#holds(worker.id)
  }

  #index(entry: Entry<W>): void {
    if (entry.topic === undefined) return
    const others = this.#byTopic.get(entry.topic)
    if (others === undefined) this.#byTopic.set(entry.topic, new Set([entry]))
    else others.add(entry)
  }

  #unindex(entry: Entry<W>): void {
    if (entry.topic === undefined) return
    const others = this.#byTopic.get(entry.topic)
    others?.delete(entry)
    if (others?.size === 0) this.#byTopic.delete(entry.topic)
  }
}

function isReadyFor({ status }: Worker): boolean {
  return status === "idle" || status === "waiting"
}

/** Reports whether a worker can be expected to take a task before long. */
function isPresent({ status }: Worker): boolean {
  return status !== "away" && status !== "offline"
}
