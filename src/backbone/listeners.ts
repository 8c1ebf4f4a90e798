import type { Subscription } from "./backbone.js"

/** A list of listeners that receive the same values in the same order. */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>()
  readonly #queue: T[] = []
  #isEmitting = false

  add(listener: (value: T) => void): Subscription {
    // The same function may be added twice.
    const own = (value: T): void => listener(value)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Calls every listener. A value emitted by a listener is delivered after the current one. */
  emit(value: T): void {
    this.#queue.push(value)
    if (this.#isEmitting) return
    this.#isEmitting = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener(next)
      }
    } finally {
      this.#isEmitting = false
    }
  }
}
