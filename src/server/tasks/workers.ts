import type { AgentId } from "../../protocol/names.js"

/** What decides whether somebody gets work. */
export interface Worker {
  readonly id: AgentId
  readonly role?: string | undefined
  readonly status: string
}

/** Who must not, or should not, get a task. */
interface Unfit {
  /** Who asked: never its own worker. */
  readonly asker: AgentId
  /** Who had it last and did not finish it: only if there is nobody else. */
  readonly last?: AgentId | undefined
}

interface Place<W extends Worker> {
  worker: W
  topic: string | undefined
  isReady: boolean
  /** The lowest has been idle longest. */
  turn: number
  /** Tasks that are being claimed for it right now. */
  offers: number
}

/** What tasks of a role wait under: roles are the same in whichever case they are written. */
export function topicOf(role: string): string {
  return role.toLowerCase()
}

/**
 * Who at this relay can be given work, and whose turn it is: of those that are idle or waiting and have no task,
 * the one that has been so longest. Knows nothing of how tasks are kept.
 */
export class Workers<W extends Worker = Worker> {
  readonly #holds: (id: AgentId) => boolean
  readonly #places = new Map<AgentId, Place<W>>()
  readonly #byTopic = new Map<string, Set<Place<W>>>()
  #turns = 0

  /** @param holds - whether an agent has a task now */
  constructor(holds: (id: AgentId) => boolean) {
    this.#holds = holds
  }

  /** Takes in somebody who came, or is no longer as before. */
  note(worker: W): void {
    const topic = worker.role === undefined ? undefined : topicOf(worker.role)
    const isReady = isReadyFor(worker)
    const place = this.#places.get(worker.id)
    if (place === undefined) {
      const added = { worker, topic, isReady, turn: this.#turns++, offers: 0 }
      this.#places.set(worker.id, added)
      this.#enlist(added)
      return
    }
    if ((isReady && !place.isReady) || place.topic !== topic) place.turn = this.#turns++
    this.#delist(place)
    Object.assign(place, { worker, topic, isReady })
    this.#enlist(place)
  }

  /** Takes out somebody who left, unless it is here anew. @returns the topic it worked for */
  drop(worker: W): string | undefined {
    const place = this.#places.get(worker.id)
    if (place?.worker !== worker) return undefined
    this.#places.delete(worker.id)
    this.#delist(place)
    return place.topic
  }

  find(id: AgentId): W | undefined {
    return this.#places.get(id)?.worker
  }

  /** The topic somebody works for. */
  topicFor(id: AgentId): string | undefined {
    return this.#places.get(id)?.topic
  }

  /** Somebody is rid of a task: it goes to the end of the line. */
  noteRelease(id: AgentId): void {
    const place = this.#places.get(id)
    if (place !== undefined) place.turn = this.#turns++
  }

  /** Keeps somebody from being picked; call the answer once, when it is known whether it got the task. */
  reserve(id: AgentId): () => void {
    const place = this.#places.get(id)
    if (place === undefined) return () => {}
    place.offers++
    return () => {
      place.offers--
    }
  }

  /** Who gets the next task of a topic; undefined: it waits. */
  pick(topic: string, { asker, last }: Unfit): W | undefined {
    const fit = [...(this.#byTopic.get(topic) ?? [])].filter(({ worker }) => worker.id !== asker)
    const others = fit.filter(({ worker }) => worker.id !== last)
    const next = this.#longestIdle(others)
    if (next !== undefined || others.some(({ worker }) => isPresent(worker))) return next
    return this.#longestIdle(fit)
  }

  /** How many could take a task of a topic at once. */
  countFree(topic: string, asker?: AgentId): number {
    let count = 0
    for (const place of this.#byTopic.get(topic) ?? []) {
      if (place.worker.id !== asker && this.#isFree(place)) count++
    }
    return count
  }

  #longestIdle(places: readonly Place<W>[]): W | undefined {
    let best: Place<W> | undefined
    for (const place of places) {
      if ((best === undefined || place.turn < best.turn) && this.#isFree(place)) best = place
    }
    return best?.worker
  }

  #isFree({ worker, offers }: Place<W>): boolean {
    return offers === 0 && isReadyFor(worker) && !this.#holds(worker.id)
  }

  #enlist(place: Place<W>): void {
    if (place.topic === undefined) return
    const others = this.#byTopic.get(place.topic)
    if (others === undefined) this.#byTopic.set(place.topic, new Set([place]))
    else others.add(place)
  }

  #delist(place: Place<W>): void {
    if (place.topic === undefined) return
    const others = this.#byTopic.get(place.topic)
    others?.delete(place)
    if (others?.size === 0) this.#byTopic.delete(place.topic)
  }
}

function isReadyFor({ status }: Worker): boolean {
  return status === "idle" || status === "waiting"
}

/** Whether somebody may be expected to take work before long. */
function isPresent({ status }: Worker): boolean {
  return status !== "away" && status !== "offline"
}
