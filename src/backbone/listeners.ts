import type { Subscription } from "./backbone.js"

/** Those who are told of something, each of everything and in one order. */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>()
  readonly #untold: T[] = []
  #isTelling = false

  add(listener: (value: T) => void): Subscription {
    // The same function may listen twice.
    const own = (value: T): void => listener(value)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Tells everybody, at once; what a listener causes is told after what it was told of. */
  tell(value: T): void {
    this.#untold.push(value)
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
        for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener(next)
      }
    } finally {
      this.#isTelling = false
    }
  }
}
