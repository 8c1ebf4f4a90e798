import type { Clock } from "../../base/clock.js"
import type { Appended, Keeping, LogEntry, LogStat, Logs, Subscription } from "../backbone.js"
import { checkEntryId, checkKey } from "../key.js"
import { Listeners } from "../listeners.js"
import type { StoreLink } from "./worker-link.js"

/** A family of logs in a store. */
export class SqliteLogs implements Logs {
  readonly #link: StoreLink
  readonly #family: string
  readonly #keeping: Keeping
  readonly #clock: Clock
  readonly #listeners = new Listeners<LogEntry>()

  constructor(link: StoreLink, family: string, keeping: Keeping, clock: Clock) {
    this.#link = link
    this.#family = family
    this.#keeping = keeping
    this.#clock = clock
  }

  async append(key: string, id: string, value: string): Promise<Appended> {
    checkEntryId(id)
    const op = {
      op: "append",
      ...this.#of(key),
      id,
      value,
      keeping: this.#keeping,
      ts: this.#clock.now(),
    } as const
    return await this.#link.ask(op, ({ seq, ts, isDuplicate }) => {
      if (!isDuplicate) this.#listeners.tell({ key, seq, ts, value })
    })
  }

  async read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    return await this.#link.ask({ op: "read", ...this.#of(key), eldestMs: this.#eldestMs, after, limit })
  }

  async last(key: string, count: number): Promise<LogEntry[]> {
    return await this.#link.ask({ op: "last", ...this.#of(key), eldestMs: this.#eldestMs, count })
  }

  async stat(key: string): Promise<LogStat> {
    return await this.#link.ask({ op: "stat", ...this.#of(key), eldestMs: this.#eldestMs })
  }

  async trim(key: string, seq: number): Promise<void> {
    await this.#link.ask({ op: "trim", ...this.#of(key), seq })
  }

  async drop(key: string): Promise<void> {
    await this.trim(key, Number.MAX_SAFE_INTEGER)
  }

  async keys(): Promise<string[]> {
    return await this.#link.ask({ op: "keys", family: this.#family, eldestMs: this.#eldestMs })
  }

  async subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    let end: Subscription = () => {}
    await this.#link.ask({ op: "pass" }, () => {
      end = this.#listeners.add(listener)
    })
    return end
  }

  /** Removes what is too old, also where nobody looks. */
  async expire(): Promise<void> {
    if (this.#keeping.maxAgeMs === undefined) return
    await this.#link.ask({ op: "expire", family: this.#family, eldestMs: this.#eldestMs })
  }

  /** Entries that were taken then or before are too old. */
  get #eldestMs(): number {
    return this.#keeping.maxAgeMs === undefined ? -1 : this.#clock.now() - this.#keeping.maxAgeMs
  }

  #of(key: string): { family: string; key: string } {
    checkKey(key)
    return { family: this.#family, key }
  }
}
