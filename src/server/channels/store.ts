import type { Backbone, RowChange, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import { LruMap } from "../../base/lru-map.js"
import { type Channel as ChannelName, channelPattern } from "../../protocol/names.js"
import { parseAs } from "../../protocol/schema.js"
import { type ChannelSettings, channelSettings } from "../../protocol/server-messages.js"
import { type ChannelRecord, formatChannelRecord, parseChannelRecord } from "./record.js"

/** Called with the new record of a channel; undefined if the channel was deleted. */
type ChannelListener = (name: ChannelName, record: ChannelRecord | undefined) => void

/** Rows whose revisions are remembered. */
const rowsKept = 8_192

/** Key of the relay-wide defaults in the table of settings. */
const defaultsKey = "channels"

/** The records of all channels, and the settings that apply to all of them. */
export class ChannelStore {
  readonly #isShared: boolean
  readonly #log: (line: string) => void
  readonly #records: Table
  readonly #settings: Table
  /**
   * The newest revision of each row that was reported, written or read. The watch may report a revision late. Deleted
   * rows are among them: a value read earlier may arrive after the news of the deletion.
   */
  readonly #revisions = new LruMap<string, number>(rowsKept)
  #listener: ChannelListener = () => {}
  #defaults: ChannelSettings = {}
  #defaultsRevision = 0

  private constructor(isShared: boolean, records: Table, settings: Table, log: (line: string) => void) {
    this.#isShared = isShared
    this.#records = records
    this.#settings = settings
    this.#log = log
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, log: (line: string) => void): Promise<ChannelStore> {
    const [records, settings] = [await backbone.table("channel"), await backbone.table("setting")]
    const store = new ChannelStore(backbone.isShared, records, settings, log)
    await settings.watch((change) => {
      if (change.key === defaultsKey) store.#setDefaults(change)
    })
    return store
  }

  /** Settings of every channel that has none of its own. */
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
    if (revision > this.#defaultsRevision) this.#setDefaults({ value, revision })
  }

  /** True if other relays create and change channels too. */
  get isShared(): boolean {
    return this.#isShared
  }

  /** Calls `listener` with every stored channel, then with every change, made by this relay or another one. */
  async watch(listener: ChannelListener): Promise<void> {
    this.#listener = listener
    await this.#records.watch(({ key, value, revision }) => {
      const name = `#${key}` as ChannelName
      if (!channelPattern.test(name)) return
      const record = value === undefined ? undefined : parseChannelRecord(value)
      if (value !== undefined && record === undefined) {
        this.#log(`store: the row of channel ${name} is malformed and is left out`)
      } else if (this.#isNews(key, revision)) listener(name, record)
    })
  }

  /** Reads the record of a channel that another relay may have changed a moment ago. */
  async refresh(name: ChannelName): Promise<void> {
    if (!this.#isShared) return
    const row = await this.#records.get(keyOf(name))
    const record = row && parseChannelRecord(row.value)
    if (row && record) this.#report(name, record, row.revision)
  }

  /** @returns false if a channel of that name exists */
  async create(name: ChannelName, record: ChannelRecord): Promise<boolean> {
    const revision = await this.#records.put(keyOf(name), formatChannelRecord(record), 0)
    if (revision === undefined) return false
    this.#report(name, record, revision)
    return true
  }

  /**
   * @param current - the record of a channel that has no row, such as `#general`
   * @throws {ChatError} UNAVAILABLE
   */
  async change(
    name: ChannelName,
    current: ChannelRecord,
    change: (record: ChannelRecord) => ChannelRecord,
  ): Promise<void> {
    const { result: record, revision } = await updateRow(
      this.#records,
      keyOf(name),
      (row) => {
        const next = change((row && parseChannelRecord(row.value)) ?? current)
        return { result: next, value: formatChannelRecord(next) }
      },
      { what: `channel ${name}` },
    )
    this.#report(name, record, revision)
  }

  async remove(name: ChannelName): Promise<void> {
    await this.#records.delete(keyOf(name))
  }

  #report(name: ChannelName, record: ChannelRecord, revision: number): void {
    if (this.#isNews(keyOf(name), revision)) this.#listener(name, record)
  }

  #isNews(key: string, revision: number): boolean {
    if (revision <= (this.#revisions.get(key) ?? 0)) return false
    this.#revisions.set(key, revision)
    return true
  }

  #setDefaults({ value, revision }: Pick<RowChange, "value" | "revision">): void {
    this.#defaults = value === undefined ? {} : parseSettings(value)
    this.#defaultsRevision = revision
  }
}

function keyOf(name: ChannelName): string {
  return name.slice(1)
}

/** Returns the defaults in a row; none if it is malformed. */
function parseSettings(text: string): ChannelSettings {
  return parseAs(channelSettings, text) ?? {}
}
