import type { Backbone } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory.js"
import { FakeClock } from "./fake-clock.js"

/** An engine in memory that passes for one that lasts, so that relays come and go over what it keeps. */
export class LastingEngine {
  readonly #memory: Backbone
  readonly #isShared: boolean

  private constructor(memory: Backbone, isShared: boolean) {
    this.#memory = memory
    this.#isShared = isShared
  }

  static async make({ isShared = false } = {}): Promise<LastingEngine> {
    return new LastingEngine(await openMemoryBackbone({ clock: new FakeClock() }), isShared)
  }

  /** What one relay holds of it, until that closes it. */
  lend(): Backbone {
    const memory = this.#memory
    return {
      kind: this.#isShared ? "nats" : "sqlite",
      id: memory.id,
      isReachable: true,
      isShared: this.#isShared,
      logs: (name, keeping) => memory.logs(name, keeping),
      table: (name) => memory.table(name),
      onReach: () => {},
      close: () => Promise.resolve(),
    }
  }
}
