import type { Backbone, Bus, Logs, RowChange, Table } from "../../src/backbone/backbone.js"
import { Listeners } from "../../src/backbone/listeners.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory-backbone.js"
import { ChatError } from "../../src/protocol/errors.js"
import { FakeClock } from "./fake-clock.js"

/** An engine in memory that behaves like a persistent one, so that relays can be restarted on it. */
export class LastingEngine {
  readonly #memory: Backbone
  readonly #isShared: boolean
  readonly #bus = new Listeners<{ readonly key: string; readonly value: string }>()

  private constructor(memory: Backbone, isShared: boolean) {
    this.#memory = memory
    this.#isShared = isShared
  }

  static async make({ isShared = false } = {}): Promise<LastingEngine> {
    return new LastingEngine(await openMemoryBackbone({ clock: new FakeClock() }), isShared)
  }

  /** Returns the access of one relay. */
  lend(): LentEngine {
    return new LentEngine(this.#memory, this.#isShared ? this.#bus : undefined)
  }
}

/** The access of one relay to an engine. While it is cut off, calls are refused and changes are held back. */
export class LentEngine implements Backbone {
  readonly kind: Backbone["kind"]
  id: string
  readonly isShared: boolean
  readonly bus?: Bus
  isReachable = true
  readonly #memory: Backbone
  readonly #idListeners: (() => void)[] = []
  readonly #reachListeners: ((isReachable: boolean) => void)[] = []
  /** Listener calls held back while it was cut off. */
  #missed: (() => void)[] = []
  #isLate = false
  /** Changes of tables held back while it was late, by row. */
  readonly #lateChanges = new Map<string, () => void>()

  /** @param listeners - those of the relays that share the engine; absent if only one uses it */
  constructor(memory: Backbone, listeners?: Listeners<{ readonly key: string; readonly value: string }>) {
    this.isShared = listeners !== undefined
    this.kind = this.isShared ? "nats" : "sqlite"
    this.id = memory.id
    this.#memory = memory
    if (listeners === undefined) return
    this.bus = {
      publish: (key, value) =>
        this.#reach(() => {
          listeners.emit({ key, value })
          return Promise.resolve()
        }),
      subscribe: (listener) => {
        const end = listeners.add(this.#holdBack(({ key, value }) => listener(key, value)))
        return Promise.resolve(end)
      },
    }
  }

  /** Cuts it off, or reconnects it and delivers what was held back. */
  setReachable(isReachable: boolean): void {
    this.isReachable = isReachable
    for (const listener of this.#reachListeners) listener(isReachable)
    if (!isReachable) return
    const missed = this.#missed
    this.#missed = []
    for (const deliver of missed) deliver()
  }

  /**
   * Holds back every change of a table, or delivers what was held back, with all changes of a row as one. Everything
   * else continues.
   */
  setLate(isLate: boolean): void {
    this.#isLate = isLate
    if (!isLate) for (const deliver of this.takeHeldBack()) deliver()
  }

  /** Takes the held back changes, to be delivered by the caller. */
  takeHeldBack(): (() => void)[] {
    const changes = [...this.#lateChanges.values()]
    this.#lateChanges.clear()
    return changes
  }

  async logs(...options: Parameters<Backbone["logs"]>): Promise<Logs> {
    const logs = await this.#memory.logs(...options)
    return {
      append: (...entry) => this.#reach(() => logs.append(...entry)),
      has: (key, id) => this.#reach(() => logs.has(key, id)),
      read: (key, after, limit) => this.#reach(() => logs.read(key, after, limit)),
      last: (key, count) => this.#reach(() => logs.last(key, count)),
      stat: (key) => this.#reach(() => logs.stat(key)),
      size: () => this.#reach(() => logs.size()),
      gap: (key) => this.#reach(() => logs.gap(key)),
      trim: (key, seq) => this.#reach(() => logs.trim(key, seq)),
      drop: (key) => this.#reach(() => logs.drop(key)),
      subscribe: (listener) => logs.subscribe(this.#holdBack(listener)),
    }
  }

  async table(name: string): Promise<Table> {
    const table = await this.#memory.table(name)
    return {
      get: (key) => this.#reach(() => table.get(key)),
      put: (key, value, expected) => this.#reach(() => table.put(key, value, expected)),
      delete: (key, expected) => this.#reach(() => table.delete(key, expected)),
      rows: () => this.#reach(() => table.rows()),
      watch: (listener) => table.watch(this.#delay(name, this.#holdBack(listener))),
    }
  }

  /** Gives the engine another id, as another relay does after the engine was lost. */
  setId(id: string): void {
    this.id = id
    for (const listener of this.#idListeners) listener()
  }

  onIdChange(listener: () => void): void {
    this.#idListeners.push(listener)
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#reachListeners.push(listener)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #reach<T>(act: () => Promise<T>): Promise<T> {
    if (!this.isReachable) throw new ChatError("UNAVAILABLE", "cut off")
    return act()
  }

  #delay(table: string, listener: (change: RowChange) => void): (change: RowChange) => void {
    return (change) => {
      if (this.#isLate) this.#lateChanges.set(`${table} ${change.key}`, () => listener(change))
      else listener(change)
    }
  }

  #holdBack<T>(listener: (value: T) => void): (value: T) => void {
    return (value) => {
      if (this.isReachable) listener(value)
      else this.#missed.push(() => listener(value))
    }
  }
}
