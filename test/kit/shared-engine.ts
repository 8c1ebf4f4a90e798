import type { Backbone, Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory.js"
import type { Clock } from "../../src/base/clock.js"
import { ChatError } from "../../src/protocol/errors.js"

/** Several relays' access to one engine, which stays when they are gone; each can be cut off from it. */
export class SharedEngine {
  readonly engine: Backbone

  private constructor(engine: Backbone) {
    this.engine = engine
  }

  static async open(clock: Clock): Promise<SharedEngine> {
    return new SharedEngine(await openMemoryBackbone({ clock }))
  }

  /** What one relay opens. */
  access(): EngineAccess {
    return new EngineAccess(this.engine)
  }
}

/** One relay's access. While it is cut off nothing is told, and everything is refused. */
export class EngineAccess implements Backbone {
  readonly kind = "nats"
  readonly isShared = true
  isReachable = true
  readonly #engine: Backbone
  readonly #reachListeners: ((isReachable: boolean) => void)[] = []
  /** What a watch did not tell while it was cut off. */
  #missed: (() => void)[] = []

  constructor(engine: Backbone) {
    this.#engine = engine
  }

  get id(): string {
    return this.#engine.id
  }

  /** Cuts it off, or lets it reach the engine again, which then tells what was missed. */
  setReachable(isReachable: boolean): void {
    this.isReachable = isReachable
    for (const listener of this.#reachListeners) listener(isReachable)
    const missed = this.#missed
    if (isReachable) this.#missed = []
    if (isReachable) for (const tell of missed) tell()
  }

  logs(...options: Parameters<Backbone["logs"]>): ReturnType<Backbone["logs"]> {
    return this.#engine.logs(...options)
  }

  async table(name: string): Promise<Table> {
    const table = await this.#engine.table(name)
    const reach = async <T>(act: () => Promise<T>): Promise<T> => {
      if (!this.isReachable) throw new ChatError("UNAVAILABLE", "cut off")
      return act()
    }
    return {
      get: (key) => reach(() => table.get(key)),
      put: (key, value, expected) => reach(() => table.put(key, value, expected)),
      delete: (key, expected) => reach(() => table.delete(key, expected)),
      rows: () => reach(() => table.rows()),
      watch: (listener) =>
        table.watch((change) => {
          if (this.isReachable) listener(change)
          else this.#missed.push(() => listener(change))
        }),
    }
  }

  onReach(listener: (isReachable: boolean) => void): void {
    this.#reachListeners.push(listener)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
