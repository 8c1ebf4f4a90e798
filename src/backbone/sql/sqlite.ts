import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Backbone, Keeping, Logs, Table } from "../backbone.js"
import { checkKey } from "../key.js"
import { MemoryIds } from "../memory/ids.js"
import { MemoryLogs } from "../memory/logs.js"
import { rememberedEntryIds } from "../memory/memory.js"
import { SqliteLogs } from "./logs.js"
import { SqliteTable } from "./table.js"
import { StoreLink, workerFile } from "./worker-link.js"

/** Milliseconds an id of an entry is remembered. */
const idsKeptMs = 24 * 3_600_000

/** Milliseconds between two rounds that remove what is too old. */
const sweepMs = 10 * 60_000

/** Milliseconds between two tries whether the store can be written again. */
const probeMs = 1_000

/** How a store on disk is opened. */
export interface SqliteOptions {
  /** Where it stands, as `store.db`; made when it does not exist. */
  readonly dir: string
  readonly clock: Clock
  /** Told in a line each when the store cannot be written any more, and when it can again. */
  readonly log: (line: string) => void
  /** The JavaScript file of the store's thread, when it is not the built one beside this. */
  readonly workerFile?: string
}

/**
 * An engine that keeps everything in one SQL file, for one relay. What was answered is on the disk. Only logs that
 * are kept `on: "memory"` are not.
 * @throws {ChatError} ALREADY_RUNNING when another relay holds the directory; STORE_DAMAGED; UNSUPPORTED when a newer
 * version wrote it; FILE_FAILED
 */
export async function openSqliteBackbone(options: SqliteOptions): Promise<Backbone> {
  const order = { dir: options.dir, create: true, check: true }
  const link = await StoreLink.open(order, options.workerFile ?? workerFile)
  return new SqliteBackbone(link, options)
}

class SqliteBackbone implements Backbone {
  readonly kind = "sqlite"
  readonly isShared = false
  readonly #link: StoreLink
  readonly #clock: Clock
  readonly #ids: MemoryIds
  readonly #logs = new Map<string, SqliteLogs | MemoryLogs>()
  readonly #tables = new Map<string, SqliteTable>()
  #sweep: Timer | undefined
  #probe: Timer | undefined
  #isClosed = false

  constructor(link: StoreLink, { clock, log, dir }: SqliteOptions) {
    this.#link = link
    this.#clock = clock
    this.#ids = new MemoryIds(clock, rememberedEntryIds)
    link.onReach((isReachable) => {
      log(isReachable ? `store ${dir}: can be written again` : `store cannot be written: ${link.fault}`)
      if (!isReachable) this.#probeLater()
    })
    this.#sweepLater()
  }

  get id(): string {
    return this.#link.id
  }

  get isReachable(): boolean {
    return this.#link.isReachable
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that a refused name rejects
  async logs(name: string, keeping: Keeping): Promise<Logs> {
    checkKey(name)
    const known = this.#logs.get(name)
    if (known !== undefined) return known
    const logs =
      keeping.on === "memory"
        ? new MemoryLogs(name, keeping, this.#clock, this.#ids)
        : new SqliteLogs(this.#link, name, keeping, this.#clock)
    this.#logs.set(name, logs)
    return logs
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that a refused name rejects
  async table(name: string): Promise<Table> {
    checkKey(name)
    const table = this.#tables.get(name) ?? new SqliteTable(this.#link, name)
    this.#tables.set(name, table)
    return table
  }

  onReach(listener: (isReachable: boolean) => void): void {
    this.#link.onReach(listener)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sweep?.cancel()
    this.#probe?.cancel()
    await this.#link.close()
  }

  #sweepLater(): void {
    this.#sweep = this.#clock.setTimer(
      () => {
        for (const tidying of this.#tidy()) tidying.catch(ignoreUnavailable)
        this.#sweepLater()
      },
      sweepMs,
      { unref: true },
    )
  }

  #tidy(): Promise<unknown>[] {
    const expired = [...this.#logs.values()].map((logs) =>
      logs instanceof SqliteLogs ? logs.expire() : Promise.resolve(),
    )
    return [...expired, this.#link.ask({ op: "sweep", idsBeforeMs: this.#clock.now() - idsKeptMs })]
  }

  #probeLater(): void {
    if (this.#isClosed) return
    this.#probe?.cancel()
    this.#probe = this.#clock.setTimer(
      () => {
        const probed = this.#link.ask({ op: "probe", ts: this.#clock.now() })
        probed.catch((error: unknown) => {
          ignoreUnavailable(error)
          this.#probeLater()
        })
      },
      probeMs,
      { unref: true },
    )
  }
}

/** The listeners of reachability have been told. */
function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof ChatError)) throw error
}
