import { LruMap } from "../../base/lru-map.js"
import type { AgentId } from "../../protocol/names.js"

/** Who had a task and did not finish it. */
export interface LastHolder {
  readonly worker: AgentId
  /** Whether it said FAIL; otherwise its lease ended. */
  readonly hasFailed: boolean
  readonly reason: string | undefined
}

/** Who had each task last, as far as this relay saw it; bounded, so the oldest are forgotten. */
export class LastHolders {
  readonly #byTask: LruMap<string, LastHolder>
  /** Of tasks that are being given back right now. */
  readonly #failing = new Map<string, LastHolder>()

  constructor(maxCount: number) {
    this.#byTask = new LruMap(maxCount)
  }

  find(task: string): LastHolder | undefined {
    return this.#byTask.peek(task)
  }

  /** A worker is about to give a task back. @returns a function to call when that is over */
  noteFailing(task: string, worker: AgentId, reason: string | undefined): () => void {
    const failing = { worker, hasFailed: true, reason }
    this.#failing.set(task, failing)
    return () => {
      if (this.#failing.get(task) === failing) this.#failing.delete(task)
    }
  }

  /** A worker does not have a task any more, which still stands. */
  note(task: string, worker: AgentId): void {
    const failing = this.#failing.get(task)
    const holder = failing?.worker === worker ? failing : { worker, hasFailed: false, reason: undefined }
    this.#byTask.set(task, holder)
  }

  forget(task: string): void {
    this.#byTask.delete(task)
  }
}
