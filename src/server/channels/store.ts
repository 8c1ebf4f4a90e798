import type { Backbone, Row, RowChange, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import { LruMap } from "../../base/lru-map.js"
import { type Channel as ChannelName, channelPattern } from "../../protocol/names.js"
import type { ChannelSettings } from "../../protocol/server-messages.js"
import { type ChannelRecord, formatChannelRecord, parseChannelRecord } from "./record.js"

/** Called with the new record of a channel; undefined if the channel was deleted. */
type ChannelListener = (name: ChannelName, record: ChannelRecord | undefined) => void

/** Key of the relay-wide defaults in the table of settings. */
const defaultsKey = "channels"

/** The records of all channels, and the settings that apply to all of them. */
export class ChannelStore {
  readonly #isShared: boolean
  readonly #records: Table
  readonly #settings: Table
  readonly #versions = new RowVersions()
  #listener: ChannelListener = () => {}
  #defaults: ChannelSettings = {}
  #defaultsRevision = 0

  private constructor(isShared: boolean, records: Table, settings: Table) {
    this.#isShared = isShared
    this.#records = records
    this.#settings = settings
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone): Promise<ChannelStore> {
    const [records, settings] = [await backbone.table("channel"), await backbone.table("setting")]
    const store = new ChannelStore(backbone.isShared, records, settings)
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
      const isReadable = value === undefined || record !== undefined
      if (isReadable && this.#versions.acceptWatched({ key, revision })) listener(name, record)
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
    if (this.#versions.acceptOwn({ key: keyOf(name), revision })) this.#listener(name, record)
  }

  #setDefaults({ value, revision }: Pick<RowChange, "value" | "revision">): void {
    this.#defaults = value === undefined ? {} : parseSettings(value)
    this.#defaultsRevision = revision
  }
}

/** Revisions of one row. */
interface Version {
  /** The last one the watch reported. */
  readonly watched: number
  /** The last one that was read or written since; 0 if none. */
  readonly own: number
}

/** Rows remembered. Deleted ones are among them: a value read earlier may arrive after the news of the deletion. */
const rowsKept = 8_192
const unknownVersion: Version = { watched: 0, own: 0 }

/**
 * Filters stale change notifications for rows that this relay also reads and writes. The watch may report a
 * revision late, after a newer one was read, or report what this relay has just written.
 */
export class RowVersions {
  readonly #versions = new LruMap<string, Version>(rowsKept)

  /** Records a revision that the watch reported. @returns whether it is newer than all known ones */
  acceptWatched({ key, revision }: Pick<Row, "key" | "revision">): boolean {
    const { watched, own } = this.#versions.get(key) ?? unknownVersion
    // A revision below all watched ones belongs to a table that was lost and starts again.
    if (watched < revision && revision < own) return false
    this.#versions.set(key, { watched: revision, own: 0 })
    return true
  }

  /** Records a revision that was read or written here. @returns whether it is newer than all known ones */
  acceptOwn({ key, revision }: Pick<Row, "key" | "revision">): boolean {
    const { watched, own } = this.#versions.get(key) ?? unknownVersion
    if (revision <= Math.max(watched, own)) return false
    this.#versions.set(key, { watched, own: revision })
    return true
  }
}

function keyOf(name: ChannelName): string {
  return name.slice(1)
}

function parseSettings(text: string): ChannelSettings {
  return JSON.parse(text) as ChannelSettings
}
