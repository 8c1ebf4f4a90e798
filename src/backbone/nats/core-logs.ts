import { headers, type Msg, type Subscription as NatsSubscription } from "@nats-io/transport-node"
import {
  type Appended,
  checkKey,
  type LogEntry,
  type LogStat,
  type Logs,
  type Subscription,
} from "../backbone.js"
import { checkEntryId, EntryIds } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import { firstNumber } from "../numbering.js"
import { errorText, type NatsClient } from "./nats-client.js"

const idHeader = "Agentchat-Id"
const seqHeader = "Agentchat-Seq"
const tsHeader = "Agentchat-Ts"
/** Number of ids remembered per family, of entries appended and of entries received. */
const maxIds = 50_000

/** A family of logs that keeps no entries: they are passed from relay to relay through core NATS. */
export class CoreLogs implements Logs {
  readonly #client: NatsClient
  readonly #prefix: string
  readonly #listeners = new Listeners<LogEntry>()
  readonly #appended: EntryIds
  readonly #received: EntryIds
  readonly #last = new Map<string, number>()
  #seq = 0
  #sub: NatsSubscription | undefined

  private constructor(client: NatsClient, name: string) {
    this.#client = client
    this.#prefix = `${client.space}.pass.${name}.`
    this.#appended = new EntryIds(client.clock, maxIds)
    this.#received = new EntryIds(client.clock, maxIds)
  }

  static async open(client: NatsClient, name: string): Promise<CoreLogs> {
    checkKey(name)
    const logs = new CoreLogs(client, name)
    await client.run(async () => {
      logs.#sub = client.nc.subscribe(`${logs.#prefix}>`, {
        callback: (error, message) => {
          if (error === null) logs.#take(message)
          else client.log(`nats: ${name} is not received (${error.message})`)
        },
      })
      await client.nc.flush()
    })
    return logs
  }

  async append(key: string, id: string, value: string): Promise<Appended> {
    checkKey(key)
    checkEntryId(id)
    const data = Buffer.from(value)
    this.#client.checkSize(data)
    const known = this.#appended.find(`${key} ${id}`)
    if (known !== undefined) return { ...known, isDuplicate: true }
    const ts = this.#client.clock.now()
    const seq = this.#next(ts)
    const messageHeaders = headers()
    messageHeaders.set(idHeader, encodeURIComponent(id.toWellFormed()))
    messageHeaders.set(seqHeader, String(seq))
    messageHeaders.set(tsHeader, String(ts))
    await this.#client.run(async () => {
      this.#client.nc.publish(this.#prefix + key, data, { headers: messageHeaders })
      await this.#client.nc.flush()
    })
    this.#appended.add(`${key} ${id}`, { seq, ts })
    return { seq, ts, isDuplicate: false }
  }

  read(key: string): Promise<LogEntry[]> {
    return this.#constant(key, [])
  }

  last(key: string): Promise<LogEntry[]> {
    return this.#constant(key, [])
  }

  stat(key: string): Promise<LogStat> {
    return this.#constant(key, { last: this.#last.get(key) ?? 0, count: 0 })
  }

  gap(key: string): Promise<undefined> {
    return this.#constant(key, undefined)
  }

  trim(key: string): Promise<void> {
    return this.#constant(key, undefined)
  }

  drop(key: string): Promise<void> {
    return this.#constant(key, undefined)
  }

  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    return this.#client.run(() => Promise.resolve(this.#listeners.add(listener)))
  }

  /** Ends all subscriptions. */
  close(): void {
    this.#sub?.unsubscribe()
  }

  async #constant<T>(key: string, answer: T): Promise<T> {
    checkKey(key)
    return this.#client.run(() => Promise.resolve(answer))
  }

  /** Returns a number above all that this relay has seen, derived from the time so that relays seldom choose the same. */
  #next(ts: number): number {
    this.#seq = Math.max(this.#seq + 1, firstNumber(ts))
    return this.#seq
  }

  #take(message: Msg): void {
    const id = message.headers?.get(idHeader) ?? ""
    const seq = Number(message.headers?.get(seqHeader))
    const ts = Number(message.headers?.get(tsHeader))
    const key = message.subject.slice(this.#prefix.length)
    const idKey = `${key} ${id}`
    if (id === "" || !(seq > 0) || !(ts > 0) || this.#received.find(idKey) !== undefined) return
    const last = this.#last.get(key) ?? 0
    // Entries of two relays may arrive out of order; the numbers reported rise nevertheless.
    const entry = { key, seq: Math.max(seq, last + 1), ts, value: message.string() }
    this.#received.add(idKey, { seq: entry.seq, ts })
    this.#last.set(key, entry.seq)
    this.#seq = Math.max(this.#seq, entry.seq)
    try {
      this.#listeners.emit(entry)
    } catch (error) {
      this.#client.log(`nats: a subscriber of ${this.#prefix} failed: ${errorText(error)}`)
    }
  }
}
