import { EventEmitter } from "node:events"
import type { Backbone, LogEntry } from "../../backbone/backbone.js"
import { type Clock, repeat, type Timer } from "../../base/clock.js"
import { closestNames } from "../../base/closest-names.js"
import { parseDuration } from "../../base/duration.js"
import { idOfChannel } from "../../coordination/channel-id.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultChannels, type Limits } from "../../protocol/limits.js"
import {
  type AgentId,
  type Channel as ChannelName,
  parseChannel,
  persistentIdPattern,
} from "../../protocol/names.js"
import type { ChannelEntry } from "../../protocol/server-messages.js"
import { formatStored, parseStored, type Stored } from "../delivery/message-json.js"
import type { Roster } from "../roster/roster.js"
import type { Agent } from "../sessions/agent.js"
import { ByteBudget } from "../sessions/byte-budget.js"
import { FairShare, type Origin, unknownOrigin } from "../sessions/origin.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import { Channel } from "./channel.js"
import { ChannelLogs } from "./history.js"
import type { ChannelRecord } from "./record.js"
import { ChannelStore } from "./store.js"

/** Milliseconds between two looks for channels without members. */
const sweepMs = 3_600_000
/**
 * Looks in a row that find a channel without members after which it is removed: 7 days. Agents that are disconnected
 * until then find its invitations, its settings and what was said meanwhile.
 */
const keptSweeps = 7 * 24
/** The same for a durable channel in which nothing is said either: 30 days, for which messages are kept. */
const durableSweeps = 30 * 24
/** Looks after which it may make room for another channel, or ends if nobody may come back: it was empty for an hour. */
const evictableSweeps = 2

/** Events of a {@link ChannelDirectory}. */
interface DirectoryEvents {
  /** A channel was created, here or by another relay. */
  opened: [channel: Channel]
  /** An operator removed a channel, here or at another relay; its members are to leave it. */
  removed: [channel: Channel]
  /** A message was appended to the log of a channel, by this relay or another one. */
  message: [message: Stored<"MSG">]
}

interface DirectoryOptions {
  readonly sessions: SessionRegistry
  readonly roster: Pick<Roster, "countRemoteMembers">
  readonly writes: WriteScheduler
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (line: string) => void
  /** Reports whether the relay lets an agent read a channel, to which it is invited or not. */
  readonly mayRead: (id: AgentId, name: ChannelName, isInvited: boolean) => boolean
}

const emptyRecord: ChannelRecord = { isInviteOnly: false, isDurable: false, settings: {}, invited: [] }

/** All channels of a relay. */
export class ChannelDirectory extends EventEmitter<DirectoryEvents> {
  readonly store: ChannelStore
  readonly #logs: ChannelLogs
  readonly #options: DirectoryOptions
  readonly #budget: ByteBudget
  readonly #channels = new Map<ChannelName, Channel>()
  /** For each channel without members, how many looks in a row found none, and no message since the first. */
  readonly #unused = new Map<Channel, { readonly sweeps: number; readonly seq: number }>()
  #sweepTimer: Timer | undefined
  /** Names of channels that are being created, and the origins of their makers. */
  readonly #creating = new Map<ChannelName, Origin>()
  readonly #share: FairShare
  /** The origin that each channel but the default ones is charged to. */
  readonly #origins = new Map<Channel, Origin>()
  /** Channels with a history whose newest number is known, or is being read. */
  readonly #seqLoads = new Map<Channel, Promise<void>>()
  /** Not below any number of a removed channel, so that a member that returns never asks for a number to come. */
  #seqFloor = 0

  private constructor(store: ChannelStore, logs: ChannelLogs, options: DirectoryOptions) {
    super()
    this.store = store
    this.#logs = logs
    this.#options = options
    this.#budget = new ByteBudget(options.limits.retainedTotalBytes)
    this.#share = new FairShare(options.limits.channels)
  }

  /** Opens the default channels and all stored ones. @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: DirectoryOptions): Promise<ChannelDirectory> {
    const store = await ChannelStore.open(backbone, options.log)
    const logs = await ChannelLogs.open(backbone, options.limits)
    const directory = new ChannelDirectory(store, logs, options)
    for (const name of defaultChannels) directory.#open(parseChannel(name), emptyRecord, true)
    await store.watch((name, record) => directory.#apply(name, record))
    for (const channel of directory.#channels.values()) channel.expectOthers()
    await logs.subscribe((name, entry) => directory.#onMessage(name, entry))
    await Promise.all(Array.from(directory.#channels.values(), (channel) => directory.loadSeq(channel)))
    directory.#sweepTimer = repeat(options.clock, sweepMs, () => directory.#ageAll())
    return directory
  }

  close(): void {
    this.#sweepTimer?.cancel()
  }

  /** True if channels outlast this relay. */
  get isStored(): boolean {
    return this.#logs.isStored
  }

  get size(): number {
    return this.#channels.size
  }

  get(name: string): Channel | undefined {
    return this.#channels.get(name as ChannelName)
  }

  /** Returns the channels that `id` may see, sorted by name. */
  visibleTo(id: AgentId): Channel[] {
    const visible = [...this.#channels.values()].filter((channel) => channel.isVisibleTo(id))
    return visible.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Yields their names in no order. */
  *#namesVisibleTo(id: AgentId): Iterable<ChannelName> {
    for (const channel of this.#channels.values()) if (channel.isVisibleTo(id)) yield channel.name
  }

  /** Returns the same as CHANNELS lists them, counting members on all relays. */
  list(id: AgentId): ChannelEntry[] {
    return this.visibleTo(id).map(({ name, entry }) => ({
      ...entry,
      agents: entry.agents + this.#options.roster.countRemoteMembers(name),
    }))
  }

  /** Returns the channel of that name if this relay knows it and `id` may see it. */
  peek(name: ChannelName, id: AgentId): Channel | undefined {
    const channel = this.#channels.get(name)
    return channel?.isVisibleTo(id) === true ? channel : undefined
  }

  /**
   * Returns the channel of that name if `id` may see it.
   * @throws {ChatError} CHANNEL_NOT_FOUND, with similar names
   */
  find(name: ChannelName, id: AgentId): Channel {
    const channel = this.peek(name, id)
    if (channel !== undefined) return channel
    throw new ChatError("CHANNEL_NOT_FOUND", `channel: there is no ${name} here`, {
      candidates: () => closestNames(name, this.#namesVisibleTo(id)),
      hint: `create it first: agentchat create '${name}'`,
    })
  }

  /**
   * Like {@link find}, but asks the store first: another relay may have created the channel, or invited `id`, a
   * moment ago.
   * @throws {ChatError} CHANNEL_NOT_FOUND, UNAVAILABLE
   */
  async findLatest(name: ChannelName, id: AgentId): Promise<Channel> {
    await this.store.refresh(name)
    return this.find(name, id)
  }

  /**
   * Returns a channel that `agent` is a member of.
   * @throws {ChatError} CHANNEL_NOT_FOUND, NOT_IN_CHANNEL
   */
  findJoined(name: ChannelName, agent: Agent): Channel {
    const channel = this.find(name, agent.id)
    if (channel.members.has(agent)) return channel
    throw new ChatError("NOT_IN_CHANNEL", `channel: join ${name} first`)
  }

  /**
   * @param origin - of the maker, which has a share of all channels
   * @throws {ChatError} CHANNEL_EXISTS, LIMIT_REACHED, UNSUPPORTED, UNAVAILABLE
   */
  async create(name: ChannelName, record: ChannelRecord, origin: Origin): Promise<Channel> {
    const known = this.#channels.get(name)
    // Another relay may have removed an empty channel without this relay knowing yet.
    const exists =
      known !== undefined && (known.isPermanent || known.members.size > 0 || !this.store.isShared)
    if (exists || this.#creating.has(name)) throw existsError(name)
    if (!this.#hasRoom(origin)) {
      const { channels: most } = this.#options.limits
      throw new ChatError("LIMIT_REACHED", `channel: no more channels from one origin, of ${most} in all`, {
        hint: "leave channels that nobody uses: one that everybody has left ends",
      })
    }
    if (record.isDurable && !this.isStored) {
      throw new ChatError("UNSUPPORTED", "durable: this relay keeps everything in memory", {
        hint: "start it with: agentchat serve --data DIR",
      })
    }
    this.#creating.set(name, origin)
    this.#share.take(origin)
    try {
      if (!(await this.store.create(name, record))) throw existsError(name)
    } finally {
      this.#creating.delete(name)
      this.#share.give(origin)
    }
    const channel = this.#channels.get(name) ?? this.#open(name, record, false)
    await this.loadSeq(channel)
    return channel
  }

  /**
   * Waits until the newest number of a channel with a history is known. Nobody may join before: a message reported
   * later could be taken for an old one.
   */
  loadSeq(channel: Channel): Promise<void> {
    const { history } = channel
    if (history === undefined) return Promise.resolve()
    let loading = this.#seqLoads.get(channel)
    if (loading === undefined) {
      loading = history.lastSeq().then((seq) => channel.advanceTo(seq))
      this.#seqLoads.set(channel, loading)
      loading.catch(() => this.#seqLoads.delete(channel))
    }
    return loading
  }

  /** Returns the time from which a newcomer may read the messages of a channel; Infinity for none. */
  replayStart({ settings }: Channel): number {
    const { replay = true, window } = { ...this.store.defaults, ...settings }
    if (!replay) return Infinity
    return window === undefined ? -Infinity : this.#options.clock.now() - (parseDuration(window) ?? Infinity)
  }

  /** Changes the record of a channel. @throws {ChatError} UNAVAILABLE */
  change({ name, record }: Channel, change: (record: ChannelRecord) => ChannelRecord): Promise<void> {
    return this.store.change(name, record, change)
  }

  /** Ends a channel at every relay, whoever is in it. @throws {ChatError} UNAVAILABLE */
  async end(channel: Channel): Promise<void> {
    await this.change(channel, (record) => ({ ...record, isRemoved: true }))
    await Promise.all([this.store.remove(channel.name), channel.history?.drop()])
  }

  /** Invites an agent to all channels that an earlier id of it may join. @throws {ChatError} UNAVAILABLE */
  async passInvitations(from: AgentId, to: AgentId): Promise<void> {
    for (const channel of this.#channels.values()) {
      const { invited } = channel.record
      if (!invited.includes(from) || invited.includes(to)) continue
      await this.change(channel, (record) => ({ ...record, invited: [...record.invited, to] }))
    }
  }

  /** Removes `agent`, which left on purpose; and the channel, unless somebody may come back or is invited. */
  leave(channel: Channel, agent: Agent): void {
    channel.leave(agent)
    if (this.#isEmpty(channel) && !channel.isExpectingOthers(agent.id)) this.#remove(channel)
  }

  /** Removes `agent`, whose session ended. */
  disconnect(channel: Channel, agent: Agent): void {
    channel.disconnect(agent)
    this.#unused.delete(channel)
  }

  #open(name: ChannelName, record: ChannelRecord, isPermanent: boolean): Channel {
    const { limits, clock, writes, mayRead } = this.#options
    const history = this.#logs.historyOf(name)
    const channel = new Channel({
      name,
      record,
      isPermanent: isPermanent || record.isDurable || isCoordination(name),
      seq: history === undefined ? this.#seqFloor : 0,
      ...(history !== undefined && { history }),
      limits,
      budget: this.#budget,
      clock,
      writes,
      mayRead: (id, isInvited) => mayRead(id, name, isInvited),
    })
    this.#channels.set(name, channel)
    if (!isDefault(name)) {
      const origin = this.#creating.get(name) ?? makerOrigin(record)
      this.#origins.set(channel, origin)
      this.#share.take(origin)
    }
    this.emit("opened", channel)
    return channel
  }

  /** Takes over the record of a channel, whichever relay wrote or deleted it. */
  #apply(name: ChannelName, record: ChannelRecord | undefined): void {
    const channel = this.#channels.get(name)
    if (record === undefined) {
      if (channel !== undefined && !isDefault(name)) this.#onDeleted(channel)
    } else if (record.isRemoved === true) {
      if (channel === undefined) return
      this.emit("removed", channel)
      this.#forget(channel)
    } else if (channel === undefined) {
      this.#open(name, record, false)
    } else if (channel.isDurable !== record.isDurable && channel.members.size === 0) {
      // The channel was deleted and created again, and the store reported both changes as one.
      this.#forget(channel)
      this.#open(name, record, false)
    } else {
      channel.update(record)
    }
  }

  /** Handles that another relay deleted a channel in which it knew of no members. */
  #onDeleted(channel: Channel): void {
    if (channel.members.size === 0) {
      this.#forget(channel)
      return
    }
    const { name, record } = channel
    this.#logFailure(channel, "it cannot be stored now", this.store.create(name, record))
  }

  /** Publishes a message from the log of a channel to the members connected to this relay. */
  #onMessage(name: ChannelName, entry: LogEntry): void {
    const channel = this.#channels.get(name)
    if (channel === undefined || entry.seq <= channel.seq) return
    channel.advanceTo(entry.seq)
    const message = parseStored(entry)
    if (message?.type !== "MSG") {
      this.#options.log(`store: message ${entry.seq} of ${name} is malformed and is left out`)
      return
    }
    this.emit("message", message)
    const author = this.#options.sessions.find(message.from)?.agent
    channel.publishStored(author, formatStored(entry))
  }

  #ageAll(): void {
    for (const channel of this.#channels.values()) this.#age(channel)
  }

  #age(channel: Channel): void {
    const { seq, record, isDurable } = channel
    const before = this.#unused.get(channel)
    if (isDefault(channel.name) || !this.#hasNoMembers(channel)) {
      this.#unused.delete(channel)
      return
    }
    const isKept = isDurable || isCoordination(channel.name)
    const isSame = before !== undefined && (!isKept || before.seq === seq)
    const sweeps = isSame ? before.sweeps + 1 : 1
    const isExpecting = channel.isExpectingOthers((record.maker ?? "") as AgentId)
    const most = isKept ? durableSweeps : isExpecting ? keptSweeps : evictableSweeps
    if (sweeps <= most) this.#unused.set(channel, { sweeps, seq })
    else this.#remove(channel)
  }

  /** Returns whether an origin may have one more channel, for which a channel may have to end that nobody is in. */
  #hasRoom(origin: Origin): boolean {
    while (!this.#share.fits(origin)) if (!this.#evict(origin)) return false
    return true
  }

  /**
   * Removes the open channel that has been empty the longest, of an origin that has as many as the given one.
   * @returns false if there is none
   */
  #evict(origin: Origin): boolean {
    const least = this.#share.usedBy(origin)
    let oldest: Channel | undefined
    let most = evictableSweeps - 1
    for (const [channel, { sweeps }] of this.#unused) {
      if (sweeps <= most || channel.isInviteOnly || !this.#isEmpty(channel)) continue
      if (this.#share.usedBy(this.#origins.get(channel) ?? "") < least) continue
      oldest = channel
      most = sweeps
    }
    if (oldest !== undefined) this.#remove(oldest)
    return oldest !== undefined
  }

  /** Reports whether a channel that may end has no members on any relay. */
  #isEmpty(channel: Channel): boolean {
    return !channel.isPermanent && this.#hasNoMembers(channel)
  }

  #hasNoMembers({ name, members }: Channel): boolean {
    return members.size === 0 && this.#options.roster.countRemoteMembers(name) === 0
  }

  #remove(channel: Channel): void {
    const { name, history } = channel
    this.#forget(channel)
    const removed = Promise.all([this.store.remove(name), history?.drop()])
    this.#logFailure(channel, "nobody is left, but it cannot be removed now", removed)
  }

  #logFailure({ name }: Channel, failure: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#options.log(`${name}: ${failure}: ${error.message}`)
    })
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.name)
    this.#seqLoads.delete(channel)
    this.#unused.delete(channel)
    const origin = this.#origins.get(channel)
    if (origin !== undefined) this.#share.give(origin)
    this.#origins.delete(channel)
    this.#seqFloor = Math.max(this.#seqFloor, channel.seq)
    channel.clear()
  }
}

/** Reports whether a channel holds events, and is kept like a durable one, also in memory. */
function isCoordination(name: ChannelName): boolean {
  return idOfChannel(name) !== undefined
}

/** Reports whether a channel is one that every relay has. */
export function isDefault(name: ChannelName): boolean {
  return (defaultChannels as readonly string[]).includes(name)
}

/** Returns the origin of a channel that another relay made, or an earlier life of this one. */
function makerOrigin({ maker }: ChannelRecord): Origin {
  return maker !== undefined && persistentIdPattern.test(maker) ? maker : unknownOrigin
}

function existsError(name: ChannelName): ChatError {
  return new ChatError("CHANNEL_EXISTS", `channel: ${name} exists`, {
    hint: `join it: agentchat join '${name}', or ask a member for an invitation`,
  })
}
