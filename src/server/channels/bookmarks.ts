import type { Backbone, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentId, type Channel as ChannelName, channelPattern } from "../../protocol/names.js"
import { matching, object, parseAs, record, whole } from "../../protocol/schema.js"
import type { SessionRegistry } from "../sessions/session-registry.js"

/** The position of one member in a durable channel. */
export interface Bookmark {
  /** The member may read messages after this number. */
  readonly from: number
  /** The member has confirmed all messages up to this number. */
  readonly at: number
}

type BookmarksByChannel = Readonly<Record<string, Bookmark>>

/** The row of an agent as it was last read or written. */
interface Row {
  readonly bookmarks: BookmarksByChannel
  /** 0 if there is no row. */
  readonly revision: number
}

interface BookmarkOptions {
  readonly sessions: Pick<SessionRegistry, "find">
  readonly clock: Clock
  readonly log: (line: string) => void
}

/** Milliseconds for which progress is collected before it is written. */
const saveMs = 1_000

/**
 * How far each agent with a key has read the durable channels it is a member of. Membership starts with a join and
 * ends with a leave, not with the connection. Messages from before and after it are not shown to the agent.
 */
export class Bookmarks {
  readonly #table: Table
  readonly #options: BookmarkOptions
  /** Rows of the agents that are connected here. */
  readonly #rows = new Map<AgentId, Row>()
  /** Bookmarks that advanced since they were written. */
  readonly #progress = new Map<AgentId, BookmarksByChannel>()
  #timer: Timer | undefined

  private constructor(table: Table, options: BookmarkOptions) {
    this.#table = table
    this.#options = options
  }

  static async open(backbone: Backbone, options: BookmarkOptions): Promise<Bookmarks> {
    return new Bookmarks(await backbone.table("bookmark"), options)
  }

  /** @returns undefined if `id` is not a member */
  async find(id: AgentId, channel: ChannelName): Promise<Bookmark | undefined> {
    const { bookmarks } = await this.#load(id)
    return merge(bookmarks, this.#progress.get(id))[channel]
  }

  /** Returns whether an agent is a member of any durable channel. */
  async isMember(id: AgentId): Promise<boolean> {
    return Object.keys((await this.#load(id)).bookmarks).length > 0
  }

  /** Makes `id` a member that may read messages after `seq`. Resolves when that is stored. */
  async add(id: AgentId, channel: ChannelName, seq: number): Promise<void> {
    const row = await this.#load(id)
    await this.#change(id, (bookmarks) => ({ ...bookmarks, [channel]: { from: seq, at: seq } }), row)
  }

  /** Ends a membership. Resolves when that is stored. */
  async remove(id: AgentId, channel: ChannelName): Promise<void> {
    await this.#change(id, ({ [channel]: _, ...others }) => others)
  }

  /** Notes that `id` has confirmed all messages up to `seq`. Written within a second. */
  advance(id: AgentId, channel: ChannelName, seq: number): void {
    const known = this.#progress.get(id)
    const bookmark = merge(this.#rows.get(id)?.bookmarks ?? {}, known)[channel]
    if (bookmark === undefined || seq <= bookmark.at) return
    this.#progress.set(id, { ...known, [channel]: { from: bookmark.from, at: seq } })
    this.#timer ??= this.#options.clock.setTimer(() => void this.save(), saveMs, { unref: true })
  }

  /** Saves the bookmarks of an agent that disconnected from this relay, and forgets them. */
  async release(id: AgentId): Promise<void> {
    const row = this.#rows.get(id)
    this.#rows.delete(id)
    await this.#save([id], row)
  }

  /** Writes what was collected. If that fails, agents are sent a few messages again. */
  async save(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#save([...this.#progress.keys()])
  }

  async #load(id: AgentId): Promise<Row> {
    const row = this.#rows.get(id) ?? (await this.#read(id))
    // If the agent has disconnected meanwhile, another relay may change its row.
    if (!this.#rows.has(id) && this.#options.sessions.find(id) !== undefined) this.#rows.set(id, row)
    return row
  }

  async #save(ids: readonly AgentId[], row?: Row): Promise<void> {
    try {
      await Promise.all(ids.map((id) => this.#saveProgress(id, row)))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#options.log(`bookmarks are not saved: ${error.message}`)
    }
  }

  async #saveProgress(id: AgentId, row?: Row): Promise<void> {
    const progress = this.#progress.get(id)
    this.#progress.delete(id)
    if (progress !== undefined) await this.#change(id, (bookmarks) => merge(bookmarks, progress), row)
  }

  /** @throws {ChatError} UNAVAILABLE */
  async #change(
    id: AgentId,
    change: (bookmarks: BookmarksByChannel) => BookmarksByChannel,
    known = this.#rows.get(id),
  ): Promise<void> {
    const { result: bookmarks, revision } = await updateRow(
      this.#table,
      keyOf(id),
      (row) => {
        const before = this.#parse(id, row?.value)
        const after = change(before)
        if (after === before) return { result: after }
        return { result: after, value: Object.keys(after).length > 0 ? JSON.stringify(after) : null }
      },
      {
        what: "bookmarks",
        known: known && { value: JSON.stringify(known.bookmarks), revision: known.revision },
      },
    )
    if (this.#rows.has(id)) this.#rows.set(id, { bookmarks, revision })
  }

  async #read(id: AgentId): Promise<Row> {
    const row = await this.#table.get(keyOf(id))
    if (row === undefined) return { bookmarks: {}, revision: 0 }
    return { bookmarks: this.#parse(id, row.value), revision: row.revision }
  }

  /** Returns the bookmarks in a row; none if there is no row or it is malformed, and then `id` joins anew. */
  #parse(id: AgentId, value: string | undefined): BookmarksByChannel {
    if (value === undefined) return {}
    const bookmarks = parseBookmarks(value)
    if (bookmarks === undefined)
      this.#options.log(`store: the bookmarks of ${id} are malformed and are left out`)
    return bookmarks ?? {}
  }
}

/** Returns bookmarks advanced by `progress`, except in channels that were left, or left and joined again. */
function merge(bookmarks: BookmarksByChannel, progress: BookmarksByChannel = {}): BookmarksByChannel {
  const advanced = Object.entries(progress).filter(([channel, { from, at }]) => {
    const bookmark = bookmarks[channel]
    return bookmark?.from === from && bookmark.at < at
  })
  return advanced.length === 0 ? bookmarks : { ...bookmarks, ...Object.fromEntries(advanced) }
}

function keyOf(id: AgentId): string {
  return id.slice(1)
}

const row = record(matching(channelPattern, "must be a channel"), object({ from: whole(), at: whole() }))

/** @returns undefined for a malformed row */
export function parseBookmarks(text: string): BookmarksByChannel | undefined {
  return parseAs(row, text)
}
