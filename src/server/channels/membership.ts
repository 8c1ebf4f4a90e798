import type { LogEntry } from "../../backbone/backbone.js"
import { isForeign } from "../../backbone/numbering.js"
import { type Clock, delay } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import {
  type AgentId,
  type Channel as ChannelName,
  type ChannelPattern,
  matchesAny,
  matchesChannel,
  persistentIdPattern,
} from "../../protocol/names.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import { formatReplay, formatStored, parseStored } from "../delivery/message-json.js"
import type { Roster } from "../roster/roster.js"
import { formatEntry } from "../roster/roster-record.js"
import type { RosterSync } from "../roster/roster-sync.js"
import type { Agent } from "../sessions/agent.js"
import { FairShare } from "../sessions/origin.js"
import type { Session } from "../sessions/session.js"
import type { Bookmarks } from "./bookmarks.js"
import type { Channel } from "./channel.js"
import type { ChannelDirectory } from "./directory.js"
import type { ChannelHistory } from "./history.js"
import { PatternIndex } from "./pattern-index.js"

/** Ids listed in JOINED; `count` is the number of members. */
const joinedIds = 1_000
/** Entries listed in JOINED. A newcomer to a large channel asks LIST_AGENTS for the rest. */
const joinedRoster = 50
/** Milliseconds after which an unreachable store is asked again. */
const retryMs = 1_000
/** Bytes queued for a newcomer beyond which the next page of history waits. */
const aheadBytes = 1024 * 1024
/** Patterns one session may join. */
const maxPatterns = 100
/** Memberships that begin or end by a pattern for the price of one request. */
const membershipsPerRequest = 10

/** How a session joins a channel. */
export interface JoinOptions {
  /** Number of the last message the client has. */
  readonly since?: number | undefined
  /** The pattern by which it joins, if it did not name the channel. */
  readonly pattern?: string
  /** Id of the frame to answer. */
  readonly re?: string | undefined
  /** {@link ServerMessage} JOINED.in_memory */
  readonly inMemory?: true | undefined
}

interface MembershipOptions {
  readonly channels: ChannelDirectory
  /** Knows who was taken out of a channel and may not come back yet. */
  readonly moderation: { isKept(channel: ChannelName, agent: Agent): boolean }
  readonly bookmarks: Bookmarks
  readonly roster: Roster
  readonly rosterSync: Pick<RosterSync, "changed">
  readonly limits: Limits
  readonly clock: Clock
}

/** Joins sessions to channels, by name or by pattern, and takes them out again. */
export class Membership {
  readonly #options: MembershipOptions
  /** Sessions that also join each new channel whose name matches. */
  readonly #patterns = new PatternIndex<Session>()
  readonly #patternShare: FairShare

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#patternShare = new FairShare(options.limits.patterns)
  }

  /**
   * Joins a session to a channel. It is sent JOINED, then what it missed, then new messages, each once and in order.
   * Joining again only repeats JOINED.
   * @returns a promise if messages of the channel are read from a store
   */
  join(session: Session, channel: Channel, options: JoinOptions): Promise<void> | undefined {
    const isMember = session.channels.has(channel)
    if (options.pattern === undefined) session.joinedByPattern.delete(channel)
    else if (!isMember) session.joinedByPattern.add(channel)
    if (channel.history !== undefined) {
      // Joining again, by name or by another pattern, must not replay everything.
      if (!isMember) return this.#joinStored(session, channel, channel.history, options)
      this.#sendJoined(session, channel, options)
      return undefined
    }
    session.channels.add(channel)
    this.#enter(session, channel)
    this.#sendJoined(session, channel, options)
    this.#replayFromMemory(session, channel, options.since)
    return undefined
  }

  /** Joins all channels that match a pattern, now and when they are created. */
  async joinPattern(session: Session, pattern: ChannelPattern, re: string | undefined): Promise<void> {
    if (!session.patterns.has(pattern)) this.#addPattern(session, pattern)
    const none = { agents: [], roster: [], count: 0, seq: 0, invite_only: false }
    session.send({ type: "JOINED", channel: pattern, ...none, pattern }, re)
    const isNew = (channel: Channel) =>
      matchesChannel(pattern, channel.name) &&
      !session.channels.has(channel) &&
      !this.#options.moderation.isKept(channel.name, session.agent)
    const matching = this.#options.channels.visibleTo(session.agent.id).filter(isNew)
    this.#charge(session, matching.length)
    for (const channel of matching) await this.join(session, channel, { pattern })
  }

  async leave(session: Session, channel: Channel): Promise<void> {
    const { bookmarks, channels, rosterSync } = this.#options
    const { agent } = session
    if (channel.isDurable) await bookmarks.remove(agent.id, channel.name)
    session.channels.delete(channel)
    session.joinedByPattern.delete(channel)
    channels.leave(channel, agent)
    rosterSync.changed(session)
  }

  /** Leaves all channels that were joined by this pattern and by no other. @throws {ChatError} NOT_IN_CHANNEL */
  async leavePattern(session: Session, pattern: ChannelPattern): Promise<void> {
    if (!session.patterns.has(pattern)) {
      throw new ChatError("NOT_IN_CHANNEL", `channel: ${pattern} was not joined`)
    }
    this.#removePattern(session, pattern)
    const matching = [...session.joinedByPattern].filter(({ name }) => matchesChannel(pattern, name))
    this.#charge(session, matching.length)
    for (const channel of matching) {
      if (matchesAny(session.patterns.keys(), channel.name)) continue
      await this.leave(session, channel)
      session.send({ type: "LEFT", channel: channel.name })
    }
  }

  /** Joins all sessions that have a matching pattern to a channel that was just created. */
  onOpened(channel: Channel): void {
    for (const [session, pattern] of this.#patterns.matching(channel.name)) {
      const { agent } = session
      if (!channel.isVisibleTo(agent.id) || this.#options.moderation.isKept(channel.name, agent)) continue
      this.join(session, channel, { pattern })?.catch((error: unknown) =>
        session.refuse(error, { type: "JOIN" }),
      )
    }
  }

  /** Charges a session for the joins of others that the channel it creates leads to. */
  chargeCreation(session: Session, { name, isInviteOnly }: Channel): void {
    if (!isInviteOnly) this.#charge(session, this.#patterns.matching(name).size)
  }

  /** Takes a session out of a channel that an operator removed. */
  expel(session: Session, channel: Channel): void {
    if (!session.channels.delete(channel)) return
    session.joinedByPattern.delete(channel)
    session.send({ type: "LEFT", channel: channel.name })
    this.#options.rosterSync.changed(session)
  }

  /** Removes a session that ended from all its channels. Durable memberships continue. */
  onClosed(session: Session): void {
    for (const channel of session.channels) this.#options.channels.disconnect(channel, session.agent)
    session.channels.clear()
    for (const pattern of session.patterns.keys()) this.#removePattern(session, pattern)
  }

  /** @throws {ChatError} LIMIT_REACHED */
  #addPattern(session: Session, pattern: ChannelPattern): void {
    const { origin } = session.agent
    if (session.patterns.size >= maxPatterns || !this.#patternShare.fits(origin)) {
      const { patterns } = this.#options.limits
      throw new ChatError(
        "LIMIT_REACHED",
        `channel: at most ${maxPatterns} patterns, and from one origin a quarter of ${patterns}`,
      )
    }
    this.#patternShare.take(origin)
    session.patterns.set(pattern, origin)
    this.#patterns.add(pattern, session)
  }

  #removePattern(session: Session, pattern: ChannelPattern): void {
    const origin = session.patterns.get(pattern)
    if (origin === undefined) return
    this.#patternShare.give(origin)
    session.patterns.delete(pattern)
    this.#patterns.delete(pattern, session)
  }

  /** Charges a session for memberships that begin or end by a pattern: fewer requests than by their names. */
  #charge({ requestRate }: Session, memberships: number): void {
    const { clock, limits } = this.#options
    const cost = Math.floor(memberships / membershipsPerRequest)
    requestRate.charge(clock.monotonic(), Math.min(cost, limits.requestBurst))
  }

  #enter(session: Session, channel: Channel): void {
    channel.join(session.agent)
    this.#options.rosterSync.changed(session)
  }

  #replayFromMemory({ agent, sendQueue }: Session, channel: Channel, since: number | undefined): void {
    const earliestTs = since === undefined ? this.#options.channels.replayStart(channel) : -Infinity
    for (const { author, ts, text } of channel.replay(since, this.#options.limits.bufferSize)) {
      if (ts >= earliestTs && author !== agent.id) sendQueue.send(formatReplay(text))
    }
  }

  async #joinStored(
    session: Session,
    channel: Channel,
    history: ChannelHistory,
    options: JoinOptions,
  ): Promise<void> {
    session.channels.add(channel)
    let resumeAt: number | undefined
    let isReset: boolean
    try {
      await this.#options.channels.loadSeq(channel)
      isReset = options.since !== undefined && isForeign(options.since, channel.seq, await history.gap())
      resumeAt = await this.#findResumePoint(session, channel, options.since, isReset)
    } catch (error) {
      session.channels.delete(channel)
      throw error
    }
    this.#sendJoined(session, channel, options, isReset ? true : undefined)
    const newcomer = new Newcomer(session, channel, history, this.#options.clock)
    const { bufferSize } = this.#options.limits
    const at = resumeAt ?? (await newcomer.replay(bufferSize, this.#options.channels.replayStart(channel)))
    const isReplay = options.since !== undefined && !channel.isDurable
    if (await newcomer.catchUp(at, isReplay)) this.#enter(session, channel)
  }

  /**
   * Returns the number after which a member continues; undefined for a newcomer, which becomes a member.
   * @param isReset - `since` is of another life of the store, whose own bookmark counts instead
   */
  async #findResumePoint(
    { agent: { id } }: Session,
    { name, isDurable, seq }: Channel,
    since: number | undefined,
    isReset: boolean,
  ): Promise<number | undefined> {
    if (!isDurable || !persistentIdPattern.test(id))
      return since !== undefined && since > seq ? undefined : since
    const bookmark = await this.#options.bookmarks.find(id, name)
    if (bookmark === undefined) {
      await this.#options.bookmarks.add(id, name, seq)
      return undefined
    }
    return Math.min(seq, Math.max(bookmark.from, isReset ? bookmark.at : (since ?? bookmark.at)))
  }

  #sendJoined(session: Session, channel: Channel, options: JoinOptions, reset?: true): void {
    const { re, pattern, inMemory } = options
    const { roster, clock, limits } = this.#options
    const { agent } = session
    // A session that still reads what it missed is not a member yet.
    const members = channel.members.has(agent) ? channel.members : new Set([...channel.members, agent])
    const ids: AgentId[] = []
    const entries: RosterEntry[] = []
    let count = roster.countRemoteMembers(channel.name)
    for (const member of members) {
      if (member.isHidden) continue
      count++
      if (ids.length >= joinedIds) continue
      ids.push(member.id)
      if (entries.length < joinedRoster) entries.push(member.rosterEntry)
    }
    for (const record of roster.remoteMembers(channel.name)) {
      if (ids.length >= joinedIds) break
      ids.push(record.id)
      if (entries.length < joinedRoster) {
        entries.push(formatEntry(record, { now: clock.now(), staleMs: limits.staleMs }))
      }
    }
    const { name, seq, isInviteOnly, isDurable, settings } = channel
    const message: ServerMessage<"JOINED"> = {
      type: "JOINED",
      channel: name,
      agents: ids,
      roster: entries,
      count,
      seq,
      invite_only: isInviteOnly,
      ...(isDurable && { durable: true }),
      ...(Object.keys(settings).length > 0 && { settings }),
      ...omitUndefined({ reset, pattern, in_memory: inMemory }),
    }
    session.send(message, re)
  }
}

/** A session that is sent the stored messages of a channel before it becomes a member. */
class Newcomer {
  readonly #session: Session
  readonly #channel: Channel
  readonly #history: ChannelHistory
  readonly #clock: Clock

  constructor(session: Session, channel: Channel, history: ChannelHistory, clock: Clock) {
    this.#session = session
    this.#channel = channel
    this.#history = history
    this.#clock = clock
  }

  /**
   * Sends the newest `bufferSize` messages that are not older than `earliestTs`.
   * @returns the number after which to continue
   */
  async replay(bufferSize: number, earliestTs: number): Promise<number> {
    const { seq } = this.#channel
    const count = earliestTs === Infinity ? 0 : bufferSize
    const page = await this.#read((history) => history.last(count))
    const published = page.filter((message) => message.seq <= this.#channel.seq)
    for (const message of published) if (message.ts >= earliestTs) this.#send(message, true)
    return published.at(-1)?.seq ?? seq
  }

  /**
   * Sends everything after `seq` that the channel has published. What it publishes later reaches the session as a
   * member; nothing can be published between the last check and the join.
   * @returns false if the session ended
   */
  async catchUp(seq: number, isReplay: boolean): Promise<boolean> {
    let at = seq
    while (at < this.#channel.seq && this.#session.isReady) {
      await this.#session.sendQueue.whenBelow(aheadBytes)
      const page = await this.#read((history) => history.after(at))
      const published = page.filter((message) => message.seq <= this.#channel.seq)
      for (const message of published) this.#send(message, isReplay)
      at = published.at(-1)?.seq ?? this.#channel.seq
    }
    return this.#session.isReady
  }

  /** Reads from the history until it succeeds: after JOINED the join cannot be refused any more. */
  async #read(read: (history: ChannelHistory) => Promise<LogEntry[]>): Promise<LogEntry[]> {
    while (this.#session.isReady) {
      try {
        return await read(this.#history)
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        await delay(this.#clock, retryMs)
      }
    }
    return []
  }

  #send(message: LogEntry, isReplay: boolean): void {
    const stored = parseStored(message)
    if (stored?.type !== "MSG" || stored.from === this.#session.agent.id) return
    const text = formatStored(message)
    this.#session.sendQueue.send(isReplay ? formatReplay(text) : text)
  }
}
