import type { Backbone, LogEntry, Logs, RowChange, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Limits } from "../../protocol/limits.js"
import { type Channel as ChannelName, channelPattern } from "../../protocol/names.js"
import type { ChannelSettings } from "../../protocol/server-messages.js"
import { ChannelHistory, historyKey } from "./history.js"
import { type ChannelRecord, formatChannelRecord, parseChannelRecord } from "./record.js"

/** What the row of a channel says; without a record it is gone. */
export interface ChannelChange {
  readonly name: ChannelName
  readonly record: ChannelRecord | undefined
  /** As of the row, see {@link Row.revision}; 0: it needs none. */
  readonly revision: number
}

/** Row of the relay's own defaults in the table of settings. */
const defaultsKey = "channels"

/** What is kept of channels: their records, and what is said in those that are durable or shared. */
export class ChannelStore {
  readonly #backbone: Backbone
  readonly #records: Table
  readonly #settings: Table
  readonly #durable: Logs | undefined
  readonly #live: Logs | undefined
  #defaults: ChannelSettings = {}
  #defaultsRevision = 0

  private constructor(
    backbone: Backbone,
    tables: { records: Table; settings: Table },
    logs: { durable: Logs | undefined; live: Logs | undefined },
  ) {
    this.#backbone = backbone
    this.#records = tables.records
    this.#settings = tables.settings
    this.#durable = logs.durable
    this.#live = logs.live
  }

  static async open(backbone: Backbone, limits: Limits): Promise<ChannelStore> {
    const records = await backbone.table("channel")
    const settings = await backbone.table("setting")
    const keeping = { maxEntries: limits.durableMessages, maxAgeMs: limits.durableMs } as const
    const durable =
      backbone.kind === "memory"
        ? undefined
        : await backbone.logs("durable", { ...keeping, whenFull: "drop-oldest", storage: "disk" })
    const live = backbone.isShared
      ? await backbone.logs("live", {
          maxEntries: limits.retainedMessages,
          maxBytes: limits.retainedBytes,
          maxAgeMs: limits.liveMs,
          whenFull: "drop-oldest",
          storage: "memory",
        })
      : undefined
    const store = new ChannelStore(backbone, { records, settings }, { durable, live })
    await settings.watch((change) => {
      if (change.key === defaultsKey) store.#takeDefaults(change)
    })
    return store
  }

  /** What every channel tells that does not say otherwise itself. */
  get defaults(): ChannelSettings {
    return this.#defaults
  }

  /** @throws {ChatError} UNAVAILABLE */
  async changeDefaults(change: (defaults: ChannelSettings) => ChannelSettings): Promise<void> {
    const { result: value, revision } = await updateRow(
      this.#settings,
      defaultsKey,
      (row) => {
        const next = JSON.stringify(change(row === undefined ? {} : parseSettings(row.value)))
        return { result: next, value: next }
      },
      { what: "channel defaults" },
    )
    if (revision > this.#defaultsRevision) this.#takeDefaults({ value, revision })
  }

  /** Whether a durable channel can be had at all. */
  get hasDurable(): boolean {
    return this.#durable !== undefined
  }

  /** Whether other relays make and change channels too. */
  get isShared(): boolean {
    return this.#backbone.isShared
  }

  /** Calls `watcher` with every channel that is kept, then with every change, by whichever relay. */
  async watch(watcher: (change: ChannelChange) => void): Promise<void> {
    await this.#records.watch(({ key, value, revision }) => {
      const name = `#${key}` as ChannelName
      if (!channelPattern.test(name)) return
      const record = value === undefined ? undefined : parseChannelRecord(value)
      if (value === undefined || record !== undefined) watcher({ name, record, revision })
    })
  }

  /** What stands of a channel now, where that may be more than what {@link watch} has told. */
  async read(name: ChannelName): Promise<ChannelChange | undefined> {
    const row = this.isShared ? await this.#records.get(historyKey(name)) : undefined
    const record = row && parseChannelRecord(row.value)
    return row && record && { name, record, revision: row.revision }
  }

  /** Calls `listener` with everything that is said from now on in channels that have a history. */
  async subscribe(listener: (name: ChannelName, entry: LogEntry) => void): Promise<void> {
    for (const logs of [this.#durable, this.#live]) {
      await logs?.subscribe((entry) => listener(`#${entry.key}` as ChannelName, entry))
    }
  }

  /** Where the messages of such a channel are kept; undefined when that is this relay's own memory. */
  historyOf(name: ChannelName, isDurable: boolean): ChannelHistory | undefined {
    const logs = isDurable ? this.#durable : this.#live
    return logs === undefined ? undefined : new ChannelHistory(logs, name)
  }

  /** @returns the revision of its row, 0 where it needs none; undefined: there is a channel of that name already */
  async create(name: ChannelName, record: ChannelRecord): Promise<number | undefined> {
    if (!this.#isKept(record)) return 0
    return await this.#records.put(historyKey(name), formatChannelRecord(record), 0)
  }

  /**
   * @param current - what it is where no row tells
   * @throws {ChatError} UNAVAILABLE
   */
  async change(
    name: ChannelName,
    current: ChannelRecord,
    change: (record: ChannelRecord) => ChannelRecord,
  ): Promise<ChannelChange & { readonly record: ChannelRecord }> {
    const { result: record, revision } = await updateRow(
      this.#records,
      historyKey(name),
      (row) => {
        const next = change((row && parseChannelRecord(row.value)) ?? current)
        const isRowless = row === undefined && !this.#isKept(next)
        return { result: next, value: isRowless ? undefined : formatChannelRecord(next) }
      },
      { what: `channel ${name}` },
    )
    return { name, record, revision }
  }

  async remove(name: ChannelName): Promise<void> {
    await this.#records.delete(historyKey(name))
  }

  /** A channel that lives and ends with this relay's memory needs no row. */
  #isKept({ isDurable, settings }: ChannelRecord): boolean {
    return isDurable || this.isShared || Object.keys(settings).length > 0
  }

  #takeDefaults({ value, revision }: Pick<RowChange, "value" | "revision">): void {
    this.#defaults = value === undefined ? {} : parseSettings(value)
    this.#defaultsRevision = revision
  }
}

function parseSettings(text: string): ChannelSettings {
  return JSON.parse(text) as ChannelSettings
}
