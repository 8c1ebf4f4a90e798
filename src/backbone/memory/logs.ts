import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Appended, Keeping, LogEntry, LogStat, Logs, Subscription } from "../backbone.js"
import { checkEntryId, checkKey } from "../key.js"
import { Listeners } from "../listeners.js"
import type { MemoryIds } from "./ids.js"

/** One log: its entries stand from `start` on; what stands before was dropped and waits to be cut off. */
interface MemoryLog {
  entries: { readonly entry: LogEntry; readonly bytes: number }[]
  start: number
  bytes: number
  last: number
}

/** Dropped entries are cut off in one go once they are this many and half of the array. */
const cutAt = 64

/** A family of logs in plain maps. Everything happens at once; only the answer is a promise. */
export class MemoryLogs implements Logs {
  readonly #name: string
  readonly #keeping: Keeping
  readonly #clock: Clock
  readonly #ids: MemoryIds
  readonly #logs = new Map<string, MemoryLog>()
  readonly #listeners = new Listeners<LogEntry>()

  constructor(name: string, keeping: Keeping, clock: Clock, ids: MemoryIds) {
    this.#name = name
    this.#keeping = keeping
    this.#clock = clock
    this.#ids = ids
  }

  append(key: string, id: string, value: string): Promise<Appended> {
    return promptly(() => {
      checkKey(key)
      checkEntryId(id)
      const idKey = `${this.#name} ${key} ${id}`
      const known = this.#ids.find(idKey)
      if (known !== undefined) return { ...known, isDuplicate: true }
      const entry = this.#add(this.#open(key), key, value)
      this.#ids.add(idKey, entry.seq, entry.ts)
      this.#listeners.tell(entry)
      return { seq: entry.seq, ts: entry.ts, isDuplicate: false }
    })
  }

  read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    return promptly(() => {
      const log = this.#find(key)
      if (log === undefined) return []
      const from = placeAfter(log, after)
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
      if (log === undefined) return { first: 1, last: 0, count: 0 }
      const first = log.entries[log.start]?.entry.seq ?? log.last + 1
      return { first, last: log.last, count: log.entries.length - log.start }
    })
  }

  trim(key: string, seq: number): Promise<void> {
    return promptly(() => {
      const log = this.#find(key)
      if (log !== undefined) dropBefore(log, placeAfter(log, seq))
    })
  }

  drop(key: string): Promise<void> {
    return this.trim(key, Infinity)
  }

  keys(): Promise<string[]> {
    return promptly(() => [...this.#logs.keys()].filter((key) => !isEmpty(this.#find(key))))
  }

  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    return promptly(() => this.#listeners.add(listener))
  }

  #add(log: MemoryLog, key: string, value: string): LogEntry {
    const { atBound, maxEntries, maxBytes = Infinity } = this.#keeping
    const bytes = Buffer.byteLength(value)
    const isFull = log.entries.length - log.start >= maxEntries || log.bytes + bytes > maxBytes
    if (isFull && maxEntries > 0 && atBound === "refuse-new") {
      throw new ChatError("MAILBOX_FULL", "as much waits there as is kept", {
        hint: "try again when the reader has taken some",
      })
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

  /** The log without what has become too old. */
  #find(key: string): MemoryLog | undefined {
    checkKey(key)
    const log = this.#logs.get(key)
    if (log === undefined || this.#keeping.maxAgeMs === undefined) return log
    const eldestMs = this.#clock.now() - this.#keeping.maxAgeMs
    let place = log.start
    while ((log.entries[place]?.entry.ts ?? Infinity) <= eldestMs) place++
    dropBefore(log, place)
    return log
  }
}

function isEmpty(log: MemoryLog | undefined): boolean {
  return log === undefined || log.start === log.entries.length
}

/** Index of the first entry over `seq`. */
function placeAfter(log: MemoryLog, seq: number): number {
  let low = log.start
  let high = log.entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((log.entries[middle]?.entry.seq ?? Infinity) <= seq) low = middle + 1
    else high = middle
  }
  return low
}

function dropBefore(log: MemoryLog, place: number): void {
  for (let i = log.start; i < place; i++) log.bytes -= log.entries[i]?.bytes ?? 0
  log.start = place
  const isAll = place === log.entries.length
  if (!isAll && (place < cutAt || place * 2 < log.entries.length)) return
  log.entries = log.entries.slice(place)
  log.start = 0
}

/** The result of `act`, which is done now, or its error. */
export function promptly<T>(act: () => T): Promise<T> {
  return new Promise((resolve) => resolve(act()))
}
