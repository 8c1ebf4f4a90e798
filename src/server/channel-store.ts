import type { Backbone, LogEntry, Logs, Table } from "../backbone/backbone.js"
import { ChatError } from "../protocol/errors.js"
import type { Limits } from "../protocol/limits.js"
import { type Channel as ChannelName, channelPattern } from "../protocol/names.js"
import type { ChannelSettings } from "../protocol/server-messages.js"
import { ChannelHistory, historyKey } from "./channel-history.js"
import { type ChannelRecord, formatChannelRecord, parseChannelRecord } from "./channel-record.js"

/** Told of every channel that is kept, and of each change, by whichever relay. */
export type ChannelWatcher = (name: ChannelName, record: ChannelRecord | undefined) => void

/** Row of the relay's own defaults in the table of settings. */
const defaultsKey = "channels"
/** Tries to change a row that others change at the same time. */
const maxTries = 20

/** What is kept of channels: their records, and what is said in those that are durable or shared. */
export class ChannelStore {
  readonly #backbone: Backbone
  readonly #records: Table
  readonly #settings: Table
  readonly #durable: Logs | undefined
  readonly #live: Logs | undefined
  #defaults: ChannelSettings = {}

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
        : await backbone.logs("durable", { ...keeping, atBound: "drop-oldest", on: "disk" })
    const live = backbone.isShared
      ? await backbone.logs("live", {
          maxEntries: limits.retainedMessages,
          maxBytes: limits.retainedBytes,
          maxAgeMs: limits.liveMs,
          atBound: "drop-oldest",
          on: "memory",
        })
      : undefined
    const store = new ChannelStore(backbone, { records, settings }, { durable, live })
    await settings.watch(({ key, value }) => {
      if (key === defaultsKey)
        store.#defaults = value === undefined ? {} : (JSON.parse(value) as ChannelSettings)
    })
    return store
  }

  /** What every channel tells that does not say otherwise itself. */
  get defaults(): ChannelSettings {
    return this.#defaults
  }

  async setDefaults(defaults: ChannelSettings): Promise<void> {
    await this.#settings.put(defaultsKey, JSON.stringify(defaults))
    this.#defaults = defaults
  }

  /** Whether a durable channel can be had at all. */
  get hasDurable(): boolean {
    return this.#durable !== undefined
  }

  /** Calls `watcher` with all there is, then with every change. */
  async watch(watcher: ChannelWatcher): Promise<void> {
    await this.#records.watch(({ key, value }) => {
      const name = `#${key}`
      if (!channelPattern.test(name)) return
      const record = value === undefined ? undefined : parseChannelRecord(value)
      if (value === undefined || record !== undefined) watcher(name as ChannelName, record)
    })
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

  /** @returns false when there is a channel of that name already */
  async create(name: ChannelName, record: ChannelRecord): Promise<boolean> {
    if (!this.#isKept(record)) return true
    return (await this.#records.put(historyKey(name), formatChannelRecord(record), 0)) !== undefined
  }

  /** @param current - what it is where no row tells */
  async change(
    name: ChannelName,
    current: ChannelRecord,
    change: (record: ChannelRecord) => ChannelRecord,
  ): Promise<ChannelRecord> {
    const key = historyKey(name)
    for (let tries = 0; tries < maxTries; tries++) {
      const row = await this.#records.get(key)
      const changed = change((row && parseChannelRecord(row.value)) ?? current)
      if (row === undefined && !this.#isKept(changed)) return changed
      if ((await this.#records.put(key, formatChannelRecord(changed), row?.revision ?? 0)) !== undefined)
        return changed
    }
    throw new ChatError("UNAVAILABLE", `channel: too many change ${name} at once`, { retryAfterMs: 1_000 })
  }

  async remove(name: ChannelName): Promise<void> {
    await this.#records.delete(historyKey(name))
  }

  /** A channel that lives and ends with this relay's memory needs no row. */
  #isKept({ isDurable, settings }: ChannelRecord): boolean {
    return isDurable || this.#backbone.isShared || Object.keys(settings).length > 0
  }
}
