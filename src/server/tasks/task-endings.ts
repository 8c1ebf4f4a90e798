import type { AgentId } from "../../protocol/names.js"

/** A worker is getting rid of its task. */
interface Ending {
  readonly worker: AgentId
  readonly end: Promise<void>
}

/**
 * Tasks that their workers are ending, or giving back, right now. A worker that says so twice at once, on a new
 * connection perhaps, gets the first one's answer.
 */
export class TaskEndings {
  readonly #byTask = new Map<string, Ending>()

  /** Whether this worker is getting rid of this task. */
  has(task: string, worker: AgentId): boolean {
    return this.#byTask.get(task)?.worker === worker
  }

  /** Does `act`, unless the same worker is at it already: then waits for that, and rejects as that does. */
  async once(task: string, worker: AgentId, act: () => Promise<void>): Promise<void> {
    const earlier = this.#byTask.get(task)
    if (earlier?.worker === worker) {
      await earlier.end
      return
    }
    const ending = { worker, end: act() }
    this.#byTask.set(task, ending)
    try {
      await ending.end
    } finally {
      if (this.#byTask.get(task) === ending) this.#byTask.delete(task)
    }
  }
}
