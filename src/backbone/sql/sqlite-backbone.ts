import { type Clock, repeat, type Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type Appended,
  type Backbone,
  checkKey,
  type LogEntry,
  type LogStat,
  type Logs,
  type Retention,
  type Row,
  type RowChange,
  type Subscription,
  type Table,
} from "../backbone.js"
import { checkEntryId } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import type { MessagePage, MessageQuery } from "../message-search.js"
import type { NumberGap } from "../numbering.js"
import { StoreWorker, workerFile } from "./store-worker.js"

/** Milliseconds the id of an entry is remembered. */
const idRetentionMs = 24 * 3_600_000
/** Milliseconds between two removals of expired ids and entries. */
const sweepMs = 10 * 60_000
/** Milliseconds between two checks whether the store can be written again. */
const probeMs = 1_000

/** Milliseconds after a change until it is indexed, and between two pieces of what is to be indexed. */
const indexMs = 1_000
const indexPauseMs = 100
/** Milliseconds for which a search waits until everything is indexed. */
const searchWaitMs = 5_000

/** How a store on disk is opened. */
export interface SqliteOptions {
  /** The directory of `store.db`; created when it does not exist. */
  readonly dir: string
  readonly clock: Clock
  /** Receives a line when the store can no longer be written, and when it can again. */
  readonly log: (line: string) => void
  /** The JavaScript file of the worker thread, if it is not the built one in this directory. */
  readonly workerFile?: string
}

/**
 * Opens an engine that stores everything in one SQLite file, for a single relay. Everything is on disk when a call
 * resolves.
 * @throws {ChatError} ALREADY_RUNNING when another relay uses the directory; STORE_DAMAGED; UNSUPPORTED when a newer
 * version wrote it; FILE_FAILED
 */
export async function openSqliteBackbone(options: SqliteOptions): Promise<Backbone> {
  const storeOptions = { dir: options.dir, create: true, check: true, ts: options.clock.now() }
  const worker = await StoreWorker.open(storeOptions, options.workerFile ?? workerFile)
  return new SqliteBackbone(worker, options)
}

class SqliteBackbone implements Backbone {
  readonly kind = "sqlite"
  readonly isShared = false
  readonly #worker: StoreWorker
  readonly #clock: Clock
  readonly #logs = new Map<string, SqliteLogs>()
  readonly #tables = new Map<string, SqliteTable>()
  readonly #sweepTimer: Timer
  #probeTimer: Timer | undefined
  /** Families of logs whose messages are indexed. */
  readonly #indexed: string[] = []
  #indexTimer: Timer | undefined
  #isClosed = false

  constructor(worker: StoreWorker, { clock, log, dir }: SqliteOptions) {
    this.#worker = worker
    this.#clock = clock
    worker.onReachabilityChange((isReachable) => {
      log(isReachable ? `store ${dir}: can be written again` : `store cannot be written: ${worker.fault}`)
      if (!isReachable) this.#scheduleProbe()
    })
    this.#sweepTimer = repeat(clock, sweepMs, () => {
      for (const result of this.#sweep()) result.catch(ignoreUnavailable)
    })
  }

  get id(): string {
    return this.#worker.id
  }

  get isReachable(): boolean {
    return this.#worker.isReachable
  }

  // oxlint-disable-next-line typescript/require-await -- so that an invalid name rejects
  async logs(name: string, retention: Retention): Promise<Logs> {
    checkKey(name)
    const known = this.#logs.get(name)
    if (known !== undefined) return known
    const isIndexed = retention.isIndexed === true
    const onChange = isIndexed ? () => this.#indexLater(indexMs) : () => {}
    const logs = new SqliteLogs(this.#worker, name, retention, { clock: this.#clock, onChange })
    this.#logs.set(name, logs)
    if (isIndexed) this.#indexed.push(name)
    onChange()
    return logs
  }

  // oxlint-disable-next-line typescript/require-await -- so that an invalid name rejects
  async table(name: string): Promise<Table> {
    checkKey(name)
    const table = this.#tables.get(name) ?? new SqliteTable(this.#worker, name)
    this.#tables.set(name, table)
    return table
  }

  async search(query: MessageQuery): Promise<MessagePage> {
    const deadline = this.#clock.monotonic() + searchWaitMs
    let isBehind = true
    while (isBehind && this.#clock.monotonic() < deadline) isBehind = await this.#index()
    const logs = query.logs.map((log) => {
      const oldestMs = this.#logs.get(log.family)?.oldestMs ?? -1
      return { ...log, sinceMs: Math.max(log.sinceMs, oldestMs + 1) }
    })
    const page = await this.#worker.ask({ op: "search", ...query, logs })
    return isBehind ? { ...page, isPartial: true } : page
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#worker.onReachabilityChange(listener)
  }

  async copy(file: string): Promise<void> {
    await this.#worker.ask({ op: "copy", path: file })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sweepTimer.cancel()
    this.#probeTimer?.cancel()
    this.#indexTimer?.cancel()
    await this.#worker.close()
  }

  #sweep(): Promise<unknown>[] {
    const expired = Array.from(this.#logs.values(), (logs) => logs.expire())
    return [...expired, this.#worker.ask({ op: "sweep", idsBeforeMs: this.#clock.now() - idRetentionMs })]
  }

  #index(): Promise<boolean> {
    return this.#worker.ask({ op: "index", families: this.#indexed })
  }

  /** Indexes what has changed, in pieces, so that writing goes on between them. */
  #indexLater(delayMs: number): void {
    if (this.#isClosed || this.#indexTimer !== undefined) return
    const index = () => {
      this.#index().then(
        (hasMore) => {
          this.#indexTimer = undefined
          if (hasMore) this.#indexLater(indexPauseMs)
        },
        (error: unknown) => {
          // The next change, or a search, tries again.
          this.#indexTimer = undefined
          ignoreUnavailable(error)
        },
      )
    }
    this.#indexTimer = this.#clock.setTimer(index, delayMs, { unref: true })
  }

  #scheduleProbe(): void {
    if (this.#isClosed) return
    this.#probeTimer?.cancel()
    const probe = () => {
      this.#worker.ask({ op: "probe", ts: this.#clock.now() }).catch((error: unknown) => {
        this.#scheduleProbe()
        ignoreUnavailable(error)
      })
    }
    this.#probeTimer = this.#clock.setTimer(probe, probeMs, { unref: true })
  }
}

/** A family of logs in a store. */
class SqliteLogs implements Logs {
  readonly #worker: StoreWorker
  readonly #family: string
  readonly #retention: Retention
  readonly #clock: Clock
  readonly #onChange: () => void
  readonly #listeners = new Listeners<LogEntry>()

  constructor(
    worker: StoreWorker,
    family: string,
    retention: Retention,
    { clock, onChange }: { clock: Clock; onChange: () => void },
  ) {
    this.#worker = worker
    this.#family = family
    this.#retention = retention
    this.#clock = clock
    this.#onChange = onChange
  }

  async append(key: string, id: string, value: string, digest?: number): Promise<Appended> {
    checkEntryId(id)
    const retention = this.#retention
    const entry = { id, value, digest, retention, ts: this.#clock.now() }
    const op = { op: "append", ...this.#log(key), ...entry } as const
    return await this.#worker.ask(op, ({ seq, ts, isDuplicate }) => {
      if (isDuplicate) return
      this.#onChange()
      this.#listeners.emit({ key, seq, ts, value })
    })
  }

  async has(key: string, id: string): Promise<boolean> {
    return await this.#worker.ask({ op: "has", ...this.#log(key), id })
  }

  async read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    return await this.#worker.ask({ op: "read", ...this.#log(key), oldestMs: this.oldestMs, after, limit })
  }

  async last(key: string, count: number): Promise<LogEntry[]> {
    return await this.#worker.ask({ op: "last", ...this.#log(key), oldestMs: this.oldestMs, count })
  }

  async stat(key: string): Promise<LogStat> {
    return await this.#worker.ask({ op: "stat", ...this.#log(key), oldestMs: this.oldestMs })
  }

  async size(): Promise<number> {
    return await this.#worker.ask({ op: "size", family: this.#family })
  }

  async gap(key: string): Promise<NumberGap | undefined> {
    return await this.#worker.ask({ op: "gap", ...this.#log(key) })
  }

  async trim(key: string, seq: number): Promise<void> {
    await this.#worker.ask({ op: "trim", ...this.#log(key), seq })
    this.#onChange()
  }

  async drop(key: string): Promise<void> {
    await this.trim(key, Number.MAX_SAFE_INTEGER)
  }

  async subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    let end: Subscription = () => {}
    await this.#worker.ask({ op: "pass" }, () => {
      end = this.#listeners.add(listener)
    })
    return end
  }

  /** Removes expired entries, also from logs that nobody reads. */
  async expire(): Promise<void> {
    if (this.#retention.maxAgeMs === undefined) return
    await this.#worker.ask({ op: "expire", family: this.#family, oldestMs: this.oldestMs })
  }

  /** Entries appended at or before this time have expired; -1 if none ever do. */
  get oldestMs(): number {
    return this.#retention.maxAgeMs === undefined ? -1 : this.#clock.now() - this.#retention.maxAgeMs
  }

  #log(key: string): { family: string; key: string } {
    checkKey(key)
    return { family: this.#family, key }
  }
}

/** A table in a store. */
class SqliteTable implements Table {
  readonly #worker: StoreWorker
  readonly #name: string
  readonly #listeners = new Listeners<RowChange>()

  constructor(worker: StoreWorker, name: string) {
    this.#worker = worker
    this.#name = name
  }

  async get(key: string): Promise<Row | undefined> {
    return await this.#worker.ask({ op: "get", ...this.#row(key) })
  }

  async put(key: string, value: string, expected?: number): Promise<number | undefined> {
    return await this.#worker.ask({ op: "put", ...this.#row(key), value, expected }, (revision) => {
      if (revision !== undefined) this.#listeners.emit({ key, value, revision })
    })
  }

  async delete(key: string, expected?: number): Promise<boolean> {
    const deleted = await this.#worker.ask({ op: "delete", ...this.#row(key), expected }, ({ revision }) => {
      if (revision !== undefined) this.#listeners.emit({ key, value: undefined, revision })
    })
    return deleted.isExpected
  }

  async rows(): Promise<Row[]> {
    return await this.#worker.ask({ op: "rows", table: this.#name })
  }

  async watch(listener: (change: RowChange) => void): Promise<Subscription> {
    let end: Subscription = () => {}
    await this.#worker.ask({ op: "rows", table: this.#name }, (rows) => {
      // Changes that the listener itself makes are answered later, so it misses none.
      for (const row of rows) listener(row)
      end = this.#listeners.add(listener)
    })
    return end
  }

  #row(key: string): { table: string; key: string } {
    checkKey(key)
    return { table: this.#name, key }
  }
}

/** Ignores the loss of the store, which has already been reported to the listeners of reachability. */
function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof ChatError)) throw error
}
