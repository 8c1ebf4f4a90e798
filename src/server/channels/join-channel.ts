import type { LogEntry } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import { persistentIdPattern } from "../../protocol/names.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import { formatReplay, formatStored, parseStored } from "../delivery/message-json.js"
import type { Roster } from "../roster/roster.js"
import { formatEntry } from "../roster/roster-record.js"
import type { Session } from "../sessions/session.js"
import { payloadOf } from "../wire/payload.js"
import type { Bookmarks } from "./bookmarks.js"
import type { Channel } from "./channel.js"
import type { ChannelDirectory } from "./directory.js"
import type { ChannelHistory } from "./history.js"
import { durationMs } from "./record.js"

/** Ids listed in JOINED; `count` tells how many there are. */
const joinedIds = 1_000
/** Entries listed in JOINED: a newcomer of a large channel asks LIST_AGENTS for the rest. */
const joinedRoster = 50
/** Milliseconds after which a store that could not be reached is asked again. */
const retryMs = 1_000
/** Bytes on the way to a newcomer, beyond which the next page of history waits. */
const aheadBytes = 1024 * 1024

/** What of a house one passes on the way in. */
export interface Lobby {
  readonly options: { readonly clock: Clock; readonly limits: Limits }
  readonly channels: ChannelDirectory
  readonly bookmarks: Bookmarks
  readonly roster: Roster
  readonly keeper: { changed(session: Session): void }
}

/** How somebody comes in. */
export interface Entry {
  /** Number of the last message it has. */
  readonly since?: number | undefined
  /** The pattern that brings it in. */
  readonly pattern?: string
  /** The id of the frame this answers. */
  readonly re?: string | undefined
}

/**
 * Lets a session into a channel: JOINED, then what it missed, then what is said from now on, each once and in
 * order. A second time nothing happens but the answer.
 * @returns a promise where the channel's messages are kept outside of this relay's memory
 */
export function joinChannel(
  house: Lobby,
  session: Session,
  channel: Channel,
  entry: Entry,
): Promise<void> | undefined {
  const { agent } = session
  const isIn = session.channels.has(channel)
  if (entry.pattern === undefined) session.brought.delete(channel)
  else if (!isIn) session.brought.add(channel)
  if (channel.history !== undefined) {
    // A second way in, by name or by pattern, must not show everything again.
    if (!isIn) return new Passage(house, session, channel).enter(entry)
    answer(house, session, channel, entry)
    return undefined
  }
  session.channels.add(channel)
  channel.join(agent)
  house.keeper.changed(session)
  answer(house, session, channel, entry)
  const messages = channel.replay(entry.since, house.options.limits.bufferSize)
  const earliestTs = entry.since === undefined ? replayFrom(house, channel) : -Infinity
  for (const { author, ts, text } of messages) {
    if (ts >= earliestTs && author !== agent.id) session.outgoing.send(payloadOf(formatReplay(text)))
  }
  return undefined
}

/** The way into a channel whose messages are kept by an engine. */
class Passage {
  readonly #house: Lobby
  readonly #session: Session
  readonly #channel: Channel

  constructor(house: Lobby, session: Session, channel: Channel) {
    this.#house = house
    this.#session = session
    this.#channel = channel
  }

  async enter(entry: Entry): Promise<void> {
    const { channels } = this.#session
    const channel = this.#channel
    channels.add(channel)
    let resumeAt: number | undefined
    try {
      await this.#house.channels.know(channel)
      resumeAt = await this.#findPlace(entry.since)
    } catch (error) {
      channels.delete(channel)
      throw error
    }
    answer(this.#house, this.#session, channel, entry)
    const at = resumeAt ?? (await this.#replay(channel.seq))
    await this.#catchUp(at, entry.since !== undefined && !channel.isDurable)
  }

  /** Where a member goes on; undefined for a newcomer, who is one from now on. */
  async #findPlace(since: number | undefined): Promise<number | undefined> {
    const { id } = this.#session.agent
    const { name, isDurable, seq } = this.#channel
    if (!isDurable || !persistentIdPattern.test(id)) return since
    const place = await this.#house.bookmarks.find(id, name)
    if (place === undefined) {
      await this.#house.bookmarks.enter(id, name, seq)
      return undefined
    }
    return Math.max(place.from, since ?? place.at)
  }

  /** Shows a newcomer what was said last. @returns where to go on */
  async #replay(seq: number): Promise<number> {
    const earliestTs = replayFrom(this.#house, this.#channel)
    const count = earliestTs === Infinity ? 0 : this.#house.options.limits.bufferSize
    const page = await this.#read((history) => history.last(count))
    const told = page.filter((message) => message.seq <= this.#channel.seq)
    for (const message of told) if (message.ts >= earliestTs) this.#show(message, true)
    return told.at(-1)?.seq ?? seq
  }

  /**
   * Shows everything after `seq`, then takes the session in. What is read stops at what the log has told: the
   * rest comes to a member by itself, and between the last look and the joining nothing can.
   */
  async #catchUp(seq: number, isReplay: boolean): Promise<void> {
    const { outgoing, agent } = this.#session
    const channel = this.#channel
    let at = seq
    while (at < channel.seq && this.#session.isReady) {
      await outgoing.whenBelow(aheadBytes)
      const page = await this.#read((history) => history.after(at))
      const told = page.filter((message) => message.seq <= channel.seq)
      for (const message of told) this.#show(message, isReplay)
      at = told.at(-1)?.seq ?? channel.seq
    }
    if (!this.#session.isReady) return
    channel.join(agent)
    this.#house.keeper.changed(this.#session)
  }

  /** Once JOINED is said there is no way back: what cannot be read now is read as soon as it can be. */
  async #read(ask: (history: ChannelHistory) => Promise<LogEntry[]>): Promise<LogEntry[]> {
    const { history } = this.#channel
    while (history !== undefined && this.#session.isReady) {
      try {
        return await ask(history)
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        const { clock } = this.#house.options
        await new Promise<void>((resolve) => clock.setTimer(resolve, retryMs))
      }
    }
    return []
  }

  #show(message: LogEntry, isReplay: boolean): void {
    if (parseStored<"MSG">(message).from === this.#session.agent.id) return
    const text = formatStored(message)
    this.#session.outgoing.send(payloadOf(isReplay ? formatReplay(text) : text))
  }
}

/** The earliest time from which a newcomer is shown what was said: Infinity for nothing at all. */
function replayFrom({ channels, options }: Lobby, channel: Channel): number {
  const { replay = true, window } = { ...channels.store.defaults, ...channel.settings }
  if (!replay) return Infinity
  return window === undefined ? -Infinity : options.clock.now() - durationMs(window)
}

function answer(house: Lobby, session: Session, channel: Channel, { re, pattern }: Entry): void {
  const { agent } = session
  const { clock, limits } = house.options
  // Whoever is still reading what it missed is no member yet.
  const present = channel.members.has(agent) ? channel.members : new Set([...channel.members, agent])
  const agents: AgentId[] = []
  const roster: RosterEntry[] = []
  for (const member of present) {
    if (agents.length >= joinedIds) break
    agents.push(member.id)
    if (roster.length < joinedRoster) roster.push(member.rosterEntry)
  }
  for (const record of house.roster.remoteMembers(channel.name)) {
    if (agents.length >= joinedIds) break
    agents.push(record.id)
    if (roster.length < joinedRoster)
      roster.push(formatEntry(record, { now: clock.now(), staleMs: limits.staleMs }))
  }
  const { name, seq, isInviteOnly, isDurable, settings } = channel
  const message: ServerMessage<"JOINED"> = {
    type: "JOINED",
    channel: name,
    agents,
    roster,
    count: present.size + house.roster.countRemoteMembers(name),
    seq,
    invite_only: isInviteOnly,
    ...(isDurable && { durable: true }),
    ...(Object.keys(settings).length > 0 && { settings }),
    ...(pattern !== undefined && { pattern }),
  }
  session.send(message, re)
}
