import { headers, type Msg, type Subscription as NatsSubscription } from "@nats-io/transport-node"
import type { Appended, LogEntry, LogStat, Logs, Subscription } from "../backbone.js"
import { checkKey } from "../backbone.js"
import { checkEntryId, EntryIds } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import { type NatsLink, toText } from "./connection.js"
import { checkSize } from "./logs.js"

const idHeader = "Agentchat-Id"
const seqHeader = "Agentchat-Seq"
const tsHeader = "Agentchat-Ts"
/** Ids remembered for one family, of what was appended and of what was told. */
const rememberedIds = 50_000
/** Numbers per millisecond. */
const numbersPerMs = 1_000

/** A family of logs of which nothing is kept: entries pass from relay to relay through NATS itself. */
export class NatsCoreLogs implements Logs {
  readonly #link: NatsLink
  readonly #prefix: string
  readonly #listeners = new Listeners<LogEntry>()
  readonly #appended: EntryIds
  readonly #told: EntryIds
  readonly #last = new Map<string, number>()
  #seq = 0
  #sub: NatsSubscription | undefined

  private constructor(link: NatsLink, name: string) {
    this.#link = link
    this.#prefix = `${link.space}.pass.${name}.`
    this.#appended = new EntryIds(link.clock, rememberedIds)
    this.#told = new EntryIds(link.clock, rememberedIds)
  }

  static async open(link: NatsLink, name: string): Promise<NatsCoreLogs> {
    checkKey(name)
    const passing = new NatsCoreLogs(link, name)
    await link.run(async () => {
      passing.#sub = link.nc.subscribe(`${passing.#prefix}>`, {
        callback: (error, message) => {
          if (error === null) passing.#take(message)
          else link.log(`nats: entries of ${name} do not pass (${error.message})`)
        },
      })
      await link.nc.flush()
    })
    return passing
  }

  async append(key: string, id: string, value: string): Promise<Appended> {
    checkKey(key)
    checkEntryId(id)
    const data = Buffer.from(value)
    checkSize(this.#link, data)
    const known = this.#appended.find(`${key} ${id}`)
    if (known !== undefined) return { ...known, isDuplicate: true }
    const ts = this.#link.clock.now()
    const seq = this.#next(ts)
    const about = headers()
    about.set(idHeader, encodeURIComponent(id.toWellFormed()))
    about.set(seqHeader, String(seq))
    about.set(tsHeader, String(ts))
    await this.#link.run(async () => {
      this.#link.nc.publish(this.#prefix + key, data, { headers: about })
      await this.#link.nc.flush()
    })
    this.#appended.add(`${key} ${id}`, seq, ts)
    return { seq, ts, isDuplicate: false }
  }

  read(key: string): Promise<LogEntry[]> {
    return this.#nothing(key, [])
  }

  last(key: string): Promise<LogEntry[]> {
    return this.#nothing(key, [])
  }

  stat(key: string): Promise<LogStat> {
    const last = this.#last.get(key) ?? 0
    return this.#nothing(key, { first: last + 1, last, count: 0 })
  }

  trim(key: string): Promise<void> {
    return this.#nothing(key, undefined)
  }

  drop(key: string): Promise<void> {
    return this.#nothing(key, undefined)
  }

  keys(): Promise<string[]> {
    return this.#link.run(() => Promise.resolve([]))
  }

  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    return this.#link.run(() => Promise.resolve(this.#listeners.add(listener)))
  }

  /** Nothing is told afterwards. */
  close(): void {
    this.#sub?.unsubscribe()
  }

  async #nothing<T>(key: string, answer: T): Promise<T> {
    checkKey(key)
    return this.#link.run(() => Promise.resolve(answer))
  }

  /** A number over every one this relay has seen, and near enough to the time that two relays seldom agree. */
  #next(ts: number): number {
    this.#seq = Math.max(this.#seq + 1, ts * numbersPerMs)
    return this.#seq
  }

  #take(message: Msg): void {
    const id = message.headers?.get(idHeader) ?? ""
    const seq = Number(message.headers?.get(seqHeader))
    const ts = Number(message.headers?.get(tsHeader))
    const key = message.subject.slice(this.#prefix.length)
    const idKey = `${key} ${id}`
    if (id === "" || !(seq > 0) || !(ts > 0) || this.#told.find(idKey) !== undefined) return
    const last = this.#last.get(key) ?? 0
    // Entries of two relays may cross; what is told rises all the same.
    const entry = { key, seq: Math.max(seq, last + 1), ts, value: message.string() }
    this.#told.add(idKey, entry.seq, ts)
    this.#last.set(key, entry.seq)
    this.#seq = Math.max(this.#seq, entry.seq)
    try {
      this.#listeners.emit(entry)
    } catch (error) {
      this.#link.log(`nats: a listener of ${this.#prefix} failed: ${toText(error)}`)
    }
  }
}
