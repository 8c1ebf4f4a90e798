import { ChannelNumbers, restartAfter } from "../../client/channel-numbers.js"
import type { Connection } from "../../client/connection.js"
import { ChatError } from "../../protocol/errors.js"
import { type Channel, type ChannelPattern, isChannelPattern, matchesChannel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Inbox } from "../inbox/inbox.js"
import { joinedLine, noticeLine } from "../inbox/message-to-line.js"
import type { Bookmarks } from "./bookmarks.js"

type Joined = ServerMessage<"JOINED">
type Session = Pick<Connection, "request" | "welcome">

/** Channels that patterns bring; a relay has at most a tenth as many by default. */
const maxChannels = 10_000
/** Error codes after which joining the same channel may succeed later. */
const temporaryCodes: ReadonlySet<string> = new Set([
  "UNAVAILABLE",
  "TIMEOUT",
  "RATE_LIMITED",
  "SHUTTING_DOWN",
])

/** Channels and patterns that could not be joined, each with the relay's error. */
export interface JoinFailures {
  /** The first temporary error; {@link Channels.retryJoins} tries again. */
  readonly temporary: ChatError | undefined
  /** Not tried again in this session. */
  readonly refused: ReadonlyMap<string, ChatError>
  /** Channels whose messages began anew, because the relay's store was emptied or restored. */
  readonly reset: readonly string[]
}

/** Options of {@link Channels}. */
export interface ChannelsOptions {
  readonly bookmarks: Bookmarks
  /** The channels and patterns to join with the first session. */
  readonly wanted: Iterable<Channel | ChannelPattern>
  /** Gets a JOINED line for each channel that is joined for the first time and has settings to read. */
  readonly inbox: Pick<Inbox, "append">
  readonly now: () => number
  readonly log: (line: string) => void
}

/** The channels and channel patterns a daemon is in. Joins them again with each session, also after a restart. */
export class Channels {
  readonly #bookmarks: Bookmarks
  readonly #inbox: Pick<Inbox, "append">
  readonly #now: () => number
  readonly #log: (line: string) => void
  readonly #channels = new Set<Channel>()
  readonly #patterns = new Set<ChannelPattern>()
  readonly #durable = new Set<string>()
  readonly #numbers = new Map<string, ChannelNumbers>()
  readonly #reset = new Set<string>()
  #session: Session | undefined
  /** Channels and patterns to try again in this session. */
  #unjoined: ReadonlySet<string> = new Set()

  constructor({ bookmarks, wanted, inbox, now, log }: ChannelsOptions) {
    this.#bookmarks = bookmarks
    this.#inbox = inbox
    this.#now = now
    this.#log = log
    for (const name of wanted) {
      if (isChannelPattern(name)) this.#patterns.add(name)
      else this.#channels.add(name)
    }
  }

  get names(): readonly Channel[] {
    return [...this.#channels]
  }

  get patterns(): readonly ChannelPattern[] {
    return [...this.#patterns]
  }

  /** The durable ones among the channels. */
  get durable(): readonly string[] {
    return [...this.#durable]
  }

  /**
   * Joins every channel on a new session, each from its bookmark, then every pattern. Creates channels that do not
   * exist.
   * @returns undefined if the session ended meanwhile
   */
  async attach(session: Session): Promise<JoinFailures | undefined> {
    this.#session = session
    return this.#joinAll(session)
  }

  /** Ends the session. */
  detach(): void {
    this.#session = undefined
    this.#numbers.clear()
    this.#unjoined = new Set()
  }

  /** Tries the channels and patterns again that failed with a temporary error. @returns as {@link attach} */
  async retryJoins(): Promise<JoinFailures | undefined> {
    if (this.#session === undefined || this.#unjoined.size === 0) return undefined
    const only = this.#unjoined
    this.#unjoined = new Set()
    return this.#joinAll(this.#session, only)
  }

  /** Reports whether a channel may be joined without a request: it is joined already, or by one of the patterns. */
  expects({ channel, pattern }: Pick<Joined, "channel" | "pattern">): boolean {
    if (this.#channels.has(channel as Channel)) return true
    const own = this.patterns.find((each) => each === pattern)
    return own !== undefined && this.#channels.size < maxChannels && matchesChannel(own, channel as Channel)
  }

  /**
   * Handles JOINED.
   * @param replayed - how many of the channel's newest messages the relay may replay
   */
  onJoined(joined: Joined, replayed: number): void {
    const { channel, pattern } = joined
    if (isChannelPattern(channel)) {
      this.#patterns.add(channel)
      this.#bookmarks.addPattern(channel)
      return
    }
    if (pattern === undefined) this.#bookmarks.keep(channel)
    else if (!this.#channels.has(channel as Channel)) this.#bookmarks.addMatch(channel, pattern)
    this.#add(joined, replayed)
  }

  /**
   * Handles a message to a channel.
   * @returns false if its number is no position to continue from
   */
  follow({ to, seq }: Pick<ServerMessage<"MSG">, "to" | "seq">): boolean {
    const numbers = this.#numbers.get(to)
    if (seq === undefined || numbers === undefined) return seq !== undefined
    const step = numbers.take(seq)
    if (step === "back") this.#restart(to, seq)
    else if (step === "leap") this.#log(`${to}: number ${seq} is too high to be a position`)
    return step !== "leap"
  }

  #restart(channel: string, seq: number): void {
    this.#bookmarks.restart(channel, Math.max(0, seq - 1))
    const text = `${channel}: the relay's numbers of messages went back; messages may be missing there`
    this.#log(`notice: ${text}`)
    this.#inbox.append(noticeLine("STORE_RESET", text, this.#now()))
  }

  /**
   * Handles LEFT. Leaving a pattern also leaves the channels that were joined only because they match it. If the relay
   * dropped a channel that was joined by name as well, because a pattern was left, the channel is joined again.
   */
  onLeft({ channel: name, re }: ServerMessage<"LEFT">): void {
    if (re === undefined && this.#isJoinedByName(name)) {
      this.#unjoined = new Set([...this.#unjoined, name])
      return
    }
    for (const channel of this.#remove(name)) {
      this.#session?.request({ type: "LEAVE", channel }).catch((error: unknown) => {
        if (!(error instanceof ChatError)) throw error
        this.#log(`leave: ${channel} ${error.code}`)
      })
    }
  }

  async #joinAll(session: Session, only?: ReadonlySet<string>): Promise<JoinFailures | undefined> {
    const serverId = session.welcome.server_id
    const isWanted = (name: string) => only === undefined || only.has(name)
    const starts = this.names
      .filter(isWanted)
      .map((channel) => [channel, this.#bookmarks.since(serverId, channel)] as const)
    this.#bookmarks.reset(serverId)
    const failures = new Map<string, ChatError>()
    const attempt = async (name: string, join: Promise<void>) => {
      try {
        await join
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        failures.set(name, error)
      }
    }
    await Promise.all([
      ...starts.map(([channel, since]) => attempt(channel, this.#joinChannel(session, channel, since))),
      // Requests are answered in order: a pattern is joined last, so that it adds only channels not yet joined.
      ...this.patterns
        .filter(isWanted)
        .map((pattern) => attempt(pattern, this.#joinPattern(session, pattern))),
    ])
    if (this.#session !== session) return undefined
    const temporary = [...failures].filter(([, { code }]) => temporaryCodes.has(code))
    this.#unjoined = new Set([...this.#unjoined, ...temporary.map(([name]) => name)])
    const refused = [...failures].filter(([name]) => !this.#unjoined.has(name))
    const reset = [...this.#reset]
    this.#reset.clear()
    return { temporary: temporary[0]?.[1], refused: new Map(refused), reset }
  }

  async #joinPattern(session: Session, pattern: ChannelPattern): Promise<void> {
    this.onJoined(await session.request({ type: "JOIN", channel: pattern }), 0)
  }

  async #joinChannel(session: Session, channel: Channel, since: number | undefined): Promise<void> {
    const join = { type: "JOIN", channel, ...(since === undefined ? {} : { since }) } as const
    const joined = await session.request(join).catch((error: unknown) => {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      if (!this.#bookmarks.isFromPattern(channel)) return this.#create(session, channel, join)
      this.#forget(channel)
      return undefined
    })
    if (joined === undefined) return
    await this.#refuseOpen(session, joined)
    const { buffer } = session.welcome.limits
    const restart = restartAfter(since, joined, buffer)
    // The relay sends nothing after a position that it never reached.
    if (restart?.isFar === true) await session.request({ ...join, since: restart.position })
    this.#add(restart === undefined ? joined : { ...joined, reset: true }, buffer)
  }

  async #create(
    session: Session,
    channel: Channel,
    join: { type: "JOIN"; channel: Channel },
  ): Promise<Joined> {
    try {
      const isInviteOnly = this.#bookmarks.isInviteOnly(channel)
      return await session.request({ type: "CREATE_CHANNEL", channel, invite_only: isInviteOnly })
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_EXISTS") throw error
      // Either somebody created it between our two requests, or it is invite-only. The second JOIN shows which.
      return session.request(join)
    }
  }

  /** Leaves a channel that was invite-only and is open after a relay restart: somebody else created that one. */
  async #refuseOpen(session: Session, { channel, invite_only }: Joined): Promise<void> {
    if (invite_only || !this.#bookmarks.isInviteOnly(channel)) return
    await session.request({ type: "LEAVE", channel: channel as Channel })
    this.#forget(channel as Channel)
    throw new ChatError("CHANNEL_EXISTS", `${channel} was invite-only and is open to all now`)
  }

  #add(joined: Joined, replayed: number): void {
    const { channel, seq, invite_only: isInviteOnly, settings, durable, reset: isReset = false } = joined
    const isNew = !this.#bookmarks.isKnown(channel)
    this.#channels.add(channel as Channel)
    this.#numbers.set(channel, new ChannelNumbers(seq))
    if (durable === true) this.#durable.add(channel)
    else this.#durable.delete(channel)
    // If the channel does not replay to newcomers, a later JOIN with `since` must not reveal its history either.
    const follows = settings?.replay === false ? 0 : replayed
    this.#bookmarks.enter(channel, Math.max(0, seq - follows), { isInviteOnly, isReset })
    if (isReset) this.#reset.add(channel)
    const line = isNew ? joinedLine(joined) : undefined
    if (line !== undefined) this.#inbox.append(line)
  }

  /** Reports whether a channel matches a pattern and was joined by its name as well: leaving the pattern must not leave it. */
  #isJoinedByName(channel: string): boolean {
    const isMatched = this.patterns.some((pattern) => matchesChannel(pattern, channel as Channel))
    return isMatched && this.#channels.has(channel as Channel) && !this.#bookmarks.isFromPattern(channel)
  }

  /** Removes a channel or a pattern. @returns the channels that were joined only because of the pattern */
  #remove(name: string): readonly Channel[] {
    if (!isChannelPattern(name)) {
      this.#forget(name as Channel)
      return []
    }
    this.#patterns.delete(name)
    return this.#bookmarks.forgetPattern(name).filter((channel) => {
      const other = this.patterns.find((pattern) => matchesChannel(pattern, channel as Channel))
      if (other !== undefined) this.#bookmarks.addMatch(channel, other)
      else this.#forget(channel as Channel)
      return other === undefined
    }) as Channel[]
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel)
    this.#durable.delete(channel)
    this.#numbers.delete(channel)
    this.#bookmarks.forget(channel)
  }
}
