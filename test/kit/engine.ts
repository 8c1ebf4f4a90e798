import type { Backbone, Logs, RowChange, Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory-backbone.js"
import { ChatError } from "../../src/protocol/errors.js"
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
  lend(): LentEngine {
    return new LentEngine(this.#memory, this.#isShared)
  }
}

/** One relay's access to an engine. While it is cut off it is told nothing, and refused everything. */
export class LentEngine implements Backbone {
  readonly kind: Backbone["kind"]
  readonly id: string
  readonly isShared: boolean
  isReachable = true
  readonly #memory: Backbone
  readonly #reachListeners: ((isReachable: boolean) => void)[] = []
  /** What was not told while it was cut off. */
  #missed: (() => void)[] = []
  #isLate = false
  /** What was not told of tables while it was late, by row. */
  readonly #unheard = new Map<string, () => void>()

  constructor(memory: Backbone, isShared: boolean) {
    this.kind = isShared ? "nats" : "sqlite"
    this.id = memory.id
    this.isShared = isShared
    this.#memory = memory
  }

  /** Cuts it off, or lets it reach the engine again, which then tells what was missed. */
  setReachable(isReachable: boolean): void {
    this.isReachable = isReachable
    for (const listener of this.#reachListeners) listener(isReachable)
    if (!isReachable) return
    const missed = this.#missed
    this.#missed = []
    for (const tell of missed) tell()
  }

  /**
   * Has it hear nothing of what is written to tables, by itself or others, or of all that at last: what befell a row
   * in the meantime is told as one change. Everything else goes on.
   */
  setLate(isLate: boolean): void {
    this.#isLate = isLate
    if (!isLate) for (const tell of this.takeUnheard()) tell()
  }

  /** What it has not heard of up to now, to be told by whoever calls this. */
  takeUnheard(): (() => void)[] {
    const unheard = [...this.#unheard.values()]
    this.#unheard.clear()
    return unheard
  }

  async logs(...options: Parameters<Backbone["logs"]>): Promise<Logs> {
    const logs = await this.#memory.logs(...options)
    return {
      append: (key, id, value) => this.#reach(() => logs.append(key, id, value)),
      read: (key, after, limit) => this.#reach(() => logs.read(key, after, limit)),
      last: (key, count) => this.#reach(() => logs.last(key, count)),
      stat: (key) => this.#reach(() => logs.stat(key)),
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
      if (this.#isLate) this.#unheard.set(`${table} ${change.key}`, () => listener(change))
      else listener(change)
    }
  }

  #holdBack<T>(listener: (news: T) => void): (news: T) => void {
    return (news) => {
      if (this.isReachable) listener(news)
      else this.#missed.push(() => listener(news))
    }
  }
}
