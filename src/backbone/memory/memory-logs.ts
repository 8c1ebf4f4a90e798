import type { Clock } from "../../base/clock.js"
import {
  type Appended,
  checkKey,
  type LogEntry,
  type LogStat,
  type Logs,
  type Retention,
  type Subscription,
} from "../backbone.js"
import { checkEntryId, type EntryIds, logFull } from "../entry-ids.js"
import { Listeners } from "../listeners.js"

/** One log. The entries before index `start` have been dropped and are removed from the array later. */
interface MemoryLog {
  entries: { readonly entry: LogEntry; readonly bytes: number }[]
  start: number
  bytes: number
  last: number
}

/** Dropped entries are removed from the array once there are this many and they fill half of it. */
const compactAt = 64

/** A family of logs in maps. Every method does its work synchronously; only the result is a promise. */
export class MemoryLogs implements Logs {
  readonly #name: string
  readonly #retention: Retention
  readonly #clock: Clock
  readonly #ids: EntryIds
  readonly #logs = new Map<string, MemoryLog>()
  readonly #listeners = new Listeners<LogEntry>()

  constructor(name: string, retention: Retention, clock: Clock, ids: EntryIds) {
    this.#name = name
    this.#retention = retention
    this.#clock = clock
    this.#ids = ids
  }

  append(key: string, id: string, value: string, digest?: number): Promise<Appended> {
    return promptly(() => {
      checkKey(key)
      checkEntryId(id)
      const idKey = `${this.#name} ${key} ${id}`
      const known = this.#ids.find(idKey) ?? (digest === undefined ? undefined : this.#ids.find(id))
      if (known !== undefined) return { ...known, isDuplicate: true }
      const entry = this.#add(this.#open(key), key, value)
      const { seq, ts } = entry
      this.#ids.add(idKey, { seq, ts, ...(digest !== undefined && { digest }) })
      if (digest !== undefined) this.#ids.add(id, { seq, ts, digest })
      this.#listeners.emit(entry)
      return { seq: entry.seq, ts: entry.ts, isDuplicate: false }
    })
  }

  has(key: string, id: string): Promise<boolean> {
    return promptly(() => this.#ids.find(`${this.#name} ${key} ${id}`) !== undefined)
  }

  read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    return promptly(() => {
      const log = this.#find(key)
      if (log === undefined) return []
      const from = indexAfter(log, after)
      return log.entries.slice(from, from + Math.max(0, limit)).map(({ entry }) => entry)
    })
  }

  last(key: string, count: number): Promise<LogEntry[]> {
    return promptly(() => {
      const log = this.#find(key)
      if (log === undefined) return []
      const from = Math.max(log.start, log.entries.length - Math.max(0, count))
      return log.entries.slice(from).map(({ entry }) => entry)
    })
  }

  stat(key: string): Promise<LogStat> {
    return promptly(() => {
      const log = this.#find(key)
      return log === undefined
        ? { last: 0, count: 0 }
        : { last: log.last, count: log.entries.length - log.start }
    })
  }

  size(): Promise<number> {
    return promptly(() => {
      let bytes = 0
      for (const key of this.#logs.keys()) bytes += this.#find(key)?.bytes ?? 0
      return bytes
    })
  }

  gap(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  trim(key: string, seq: number): Promise<void> {
    return promptly(() => {
      const log = this.#find(key)
      if (log !== undefined) dropBefore(log, indexAfter(log, seq))
    })
  }

  drop(key: string): Promise<void> {
    return this.trim(key, Infinity)
  }

  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    return promptly(() => this.#listeners.add(listener))
  }

  #add(log: MemoryLog, key: string, value: string): LogEntry {
    const { whenFull, maxEntries, maxBytes = Infinity } = this.#retention
    const bytes = Buffer.byteLength(value)
    const isFull = log.entries.length - log.start >= maxEntries || log.bytes + bytes > maxBytes
    if (isFull && whenFull === "refuse-new") {
      throw logFull()
    }
    const entry = { key, seq: log.last + 1, ts: this.#clock.now(), value }
    log.last = entry.seq
    log.entries.push({ entry, bytes })
    log.bytes += bytes
    while (log.entries.length - log.start > maxEntries || log.bytes > maxBytes) dropBefore(log, log.start + 1)
    return entry
  }

  #open(key: string): MemoryLog {
    const found = this.#find(key)
    if (found !== undefined) return found
    const log: MemoryLog = { entries: [], start: 0, bytes: 0, last: 0 }
    this.#logs.set(key, log)
    return log
  }

  /** Returns a log after dropping its expired entries. */
  #find(key: string): MemoryLog | undefined {
    checkKey(key)
    const log = this.#logs.get(key)
    if (log === undefined || this.#retention.maxAgeMs === undefined) return log
    const oldestTs = this.#clock.now() - this.#retention.maxAgeMs
    let index = log.start
    while ((log.entries[index]?.entry.ts ?? Infinity) <= oldestTs) index++
    dropBefore(log, index)
    return log
  }
}

/** Returns the index of the first entry above `seq`. */
function indexAfter(log: MemoryLog, seq: number): number {
  let low = log.start
  let high = log.entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((log.entries[middle]?.entry.seq ?? Infinity) <= seq) low = middle + 1
    else high = middle
  }
  return low
}

function dropBefore(log: MemoryLog, index: number): void {
  for (let i = log.start; i < index; i++) log.bytes -= log.entries[i]?.bytes ?? 0
  log.start = index
  const isAll = index === log.entries.length
  if (!isAll && (index < compactAt || index * 2 < log.entries.length)) return
  log.entries = log.entries.slice(index)
  log.start = 0
}

/** Runs `act` synchronously and returns its result or error as a promise. */
export function promptly<T>(act: () => T): Promise<T> {
  return new Promise((resolve) => resolve(act()))
}
