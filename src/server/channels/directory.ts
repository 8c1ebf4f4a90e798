import type { LogEntry } from "../../backbone/backbone.js"
import type { Clock, Timer } from "../../base/clock.js"
import { closestNames } from "../../base/closest-names.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultChannels, type Limits } from "../../protocol/limits.js"
import { type AgentId, type Channel as ChannelName, parseChannel } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import { ByteBudget } from "../sessions/byte-budget.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import { Channel } from "./channel.js"
import type { ChannelRecord } from "./record.js"
import { RowVersions } from "./row-versions.js"
import type { ChannelChange, ChannelStore } from "./store.js"

/**
 * Milliseconds a channel stays when its last member's connection ended: whoever reconnects finds its
 * invitations and what was said in the meantime. A channel that is left on purpose goes at once.
 */
const lingerMs = 60_000

/** What a directory tells the house. */
export interface DirectoryEvents {
  /** There is a channel that was not there before. */
  onOpened(channel: Channel): void
  /** What a channel tells newcomers was changed, by whichever relay. */
  onChanged(channel: Channel): void
  /** Something was said in a channel that has a history. */
  onSaid(channel: Channel, entry: LogEntry): void
  /** Whether somebody on another relay is in it. */
  hasMembersElsewhere(channel: Channel): boolean
  /** Takes one line. */
  readonly log: (line: string) => void
}

/** What a directory is made of. */
export interface DirectoryOptions {
  readonly limits: Limits
  readonly clock: Clock
  readonly tick: WriteScheduler
  readonly store: ChannelStore
  readonly events: DirectoryEvents
}

const plainRecord: ChannelRecord = { isInviteOnly: false, isDurable: false, settings: {}, invited: [] }

/** Every channel of a relay. */
export class ChannelDirectory {
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #tick: WriteScheduler
  readonly #budget: ByteBudget
  readonly #events: DirectoryEvents
  readonly #channels = new Map<ChannelName, Channel>()
  readonly #lingering = new Map<Channel, Timer>()
  /** Names that are being written to the store. */
  readonly #creating = new Set<ChannelName>()
  /** Channels with a history whose newest number is known, or being asked for. */
  readonly #known = new Map<Channel, Promise<void>>()
  readonly #versions = new RowVersions()
  /** Over every sequence number of a channel that is gone, so that no bookmark points past a new one's end. */
  #seqFloor = 0

  readonly store: ChannelStore

  private constructor({ limits, clock, tick, store, events }: DirectoryOptions) {
    this.#limits = limits
    this.#clock = clock
    this.#tick = tick
    this.#events = events
    this.store = store
    this.#budget = new ByteBudget(limits.retainedTotalBytes)
  }

  /** Takes in every channel that is kept, and the default ones. */
  static async open(options: DirectoryOptions): Promise<ChannelDirectory> {
    const directory = new ChannelDirectory(options)
    for (const name of defaultChannels) directory.#openPermanent(parseChannel(name))
    await options.store.watch((change) => directory.#hear(change))
    await options.store.subscribe((name, entry) => directory.#take(name, entry))
    await Promise.all(Array.from(directory.#channels.values(), (channel) => directory.know(channel)))
    return directory
  }

  get size(): number {
    return this.#channels.size
  }

  get(name: string): Channel | undefined {
    return this.#channels.get(name as ChannelName)
  }

  /** The channels `id` may see, by name. */
  visibleTo(id: AgentId): Channel[] {
    const visible = [...this.#channels.values()].filter((channel) => channel.isVisibleTo(id))
    return visible.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** The channel of that name, if this relay knows of it and `id` may. */
  peek(name: ChannelName, id: AgentId): Channel | undefined {
    const channel = this.#channels.get(name)
    return channel?.isVisibleTo(id) === true ? channel : undefined
  }

  /**
   * The same for somebody who takes it to be there.
   * @throws {ChatError} CHANNEL_NOT_FOUND with names `id` may have meant
   */
  find(name: ChannelName, id: AgentId): Channel {
    const channel = this.peek(name, id)
    if (channel !== undefined) return channel
    throw new ChatError("CHANNEL_NOT_FOUND", `channel: there is no ${name} here`, {
      candidates: closestNames(
        name,
        this.visibleTo(id).map((visible) => visible.name),
      ),
      hint: "CREATE_CHANNEL makes it",
    })
  }

  /**
   * The same also of what another relay did a moment ago: it may have made the channel, or let `id` in.
   * @throws {ChatError} UNAVAILABLE beside CHANNEL_NOT_FOUND
   */
  async seek(name: ChannelName, id: AgentId): Promise<Channel> {
    const row = await this.store.read(name)
    if (row !== undefined) this.#note(row)
    return this.find(name, id)
  }

  /**
   * The same for somebody who must be in it.
   * @throws {ChatError} NOT_IN_CHANNEL beside CHANNEL_NOT_FOUND
   */
  findJoined(name: ChannelName, agent: Agent): Channel {
    const channel = this.find(name, agent.id)
    if (channel.members.has(agent)) return channel
    throw new ChatError("NOT_IN_CHANNEL", `channel: join ${name} first`)
  }

  /** @throws {ChatError} CHANNEL_EXISTS, LIMIT_REACHED, UNSUPPORTED, UNAVAILABLE */
  async create(name: ChannelName, record: ChannelRecord): Promise<Channel> {
    const known = this.#channels.get(name)
    // Of one that stands empty it may not be known yet that it ended.
    const stands =
      known !== undefined && (known.isPermanent || known.members.size > 0 || !this.store.isShared)
    if (stands || this.#creating.has(name)) throw existsError(name)
    if (this.#channels.size >= this.#limits.channels) {
      throw new ChatError("LIMIT_REACHED", `channel: this relay holds ${this.#limits.channels} at most`)
    }
    if (record.isDurable && !this.store.hasDurable) {
      throw new ChatError("UNSUPPORTED", "durable: this relay keeps everything in memory", {
        hint: "start it with: agentchat serve --data DIR",
      })
    }
    this.#creating.add(name)
    try {
      const revision = await this.store.create(name, record)
      if (revision === undefined) throw existsError(name)
      if (revision > 0) this.#note({ name, record, revision })
    } finally {
      this.#creating.delete(name)
    }
    const channel = this.#channels.get(name) ?? this.#open(name, record, false)
    await this.know(channel)
    return channel
  }

  /**
   * Waits until the newest number of a channel with a history is known. Nobody may be in it before: a message
   * that is told later could be taken for an old one.
   */
  know(channel: Channel): Promise<void> {
    const { history } = channel
    if (history === undefined) return Promise.resolve()
    let known = this.#known.get(channel)
    if (known === undefined) {
      known = history.lastSeq().then((seq) => channel.reach(seq))
      this.#known.set(channel, known)
      known.catch(() => this.#known.delete(channel))
    }
    return known
  }

  /** Changes what a channel is to everybody. */
  async change(channel: Channel, change: (record: ChannelRecord) => ChannelRecord): Promise<void> {
    const changed = await this.store.change(channel.name, channel.record, change)
    if (changed.revision > 0) this.#note(changed)
    else channel.update(changed.record)
  }

  /** Takes `agent` out because it asked for it. */
  leave(channel: Channel, agent: Agent): void {
    channel.leave(agent)
    this.#closeIfEmpty(channel)
  }

  /** Takes `agent` out because its session ended. */
  abandon(channel: Channel, agent: Agent): void {
    channel.leave(agent)
    if (channel.members.size > 0 || channel.isPermanent) return
    this.#lingering.get(channel)?.cancel()
    this.#lingering.set(
      channel,
      this.#clock.setTimer(() => this.#closeIfEmpty(channel), lingerMs, { unref: true }),
    )
  }

  #openPermanent(name: ChannelName): void {
    this.#open(name, plainRecord, true)
  }

  #open(name: ChannelName, record: ChannelRecord, isPermanent: boolean): Channel {
    const history = this.store.historyOf(name, record.isDurable)
    const channel = new Channel({
      name,
      record,
      isPermanent: isPermanent || record.isDurable,
      seq: history === undefined ? this.#seqFloor : 0,
      ...(history !== undefined && { history }),
      limits: this.#limits,
      budget: this.#budget,
      clock: this.#clock,
      tick: this.#tick,
    })
    this.#channels.set(name, channel)
    this.#events.onOpened(channel)
    return channel
  }

  /** A row of the store was written or deleted, by this relay or another. */
  #hear({ name, record, revision }: ChannelChange): void {
    if (this.#versions.hear({ key: name, revision })) this.#apply(name, record)
  }

  /** A row was written or read here. */
  #note({ name, record, revision }: ChannelChange): void {
    if (this.#versions.note({ key: name, revision })) this.#apply(name, record)
  }

  #apply(name: ChannelName, record: ChannelRecord | undefined): void {
    const channel = this.#channels.get(name)
    if (record === undefined) {
      if (channel !== undefined && !channel.isPermanent) this.#end(channel)
    } else if (channel === undefined) {
      this.#open(name, record, false)
    } else if (channel.isDurable !== record.isDurable && channel.members.size === 0) {
      // It ended and was made anew, which was told as one.
      this.#forget(channel)
      this.#open(name, record, false)
    } else {
      const isNews = JSON.stringify(channel.settings) !== JSON.stringify(record.settings)
      channel.update(record)
      if (isNews) this.#events.onChanged(channel)
    }
  }

  /** Another relay found nobody in a channel, as far as it knew. */
  #end(channel: Channel): void {
    if (channel.members.size === 0) this.#forget(channel)
    else this.#attempt(channel, "it is not kept now", this.#putBack(channel))
  }

  async #putBack({ name, record }: Channel): Promise<void> {
    const revision = await this.store.create(name, record)
    if (revision !== undefined) this.#note({ name, record, revision })
  }

  #take(name: ChannelName, entry: LogEntry): void {
    const channel = this.#channels.get(name)
    if (channel === undefined || entry.seq <= channel.seq) return
    channel.reach(entry.seq)
    this.#events.onSaid(channel, entry)
  }

  #closeIfEmpty(channel: Channel): void {
    this.#lingering.delete(channel)
    if (channel.members.size > 0 || channel.isPermanent || this.#channels.get(channel.name) !== channel)
      return
    if (this.#events.hasMembersElsewhere(channel)) return
    this.#forget(channel)
    const removed = Promise.all([this.store.remove(channel.name), channel.history?.drop()])
    this.#attempt(channel, "nobody is left, but it cannot be removed now", removed)
  }

  #attempt({ name }: Channel, failure: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`${name}: ${failure}: ${error.message}`)
    })
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.name)
    this.#known.delete(channel)
    this.#seqFloor = Math.max(this.#seqFloor, channel.seq)
    channel.vanish()
  }
}

function existsError(name: ChannelName): ChatError {
  return new ChatError("CHANNEL_EXISTS", `channel: ${name} exists`, {
    hint: "JOIN it, or ask a member for an invitation",
  })
}
