import type { Connection } from "../../client/connection.js"
import { ChatError } from "../../protocol/errors.js"
import { type Channel, type ChannelPattern, isChannelPattern, matchesChannel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Bookmarks } from "./bookmarks.js"

type Joined = ServerMessage<"JOINED">
type Session = Pick<Connection, "request" | "welcome">

/** The channels and patterns of channels a daemon is in, kept over reconnects and restarts. */
export class Memberships {
  readonly #bookmarks: Bookmarks
  readonly #channels = new Set<Channel>()
  readonly #patterns = new Set<ChannelPattern>()
  readonly #durable = new Set<string>()
  readonly #onNew: (joined: Joined) => void

  /**
   * @param wanted - the channels and patterns to be in from the first session on
   * @param onNew - told of each channel that was never entered before
   */
  constructor(
    bookmarks: Bookmarks,
    wanted: Iterable<Channel | ChannelPattern>,
    onNew: (joined: Joined) => void = () => {},
  ) {
    this.#bookmarks = bookmarks
    this.#onNew = onNew
    for (const name of wanted) {
      if (isChannelPattern(name)) this.#patterns.add(name)
      else this.#channels.add(name)
    }
  }

  get channels(): readonly Channel[] {
    return [...this.#channels]
  }

  get patterns(): readonly ChannelPattern[] {
    return [...this.#patterns]
  }

  /** Those of the channels that keep their messages. */
  get durable(): readonly string[] {
    return [...this.#durable]
  }

  /**
   * The relay said JOINED.
   * @param replayed - how many of the channel's last messages follow at most
   */
  entered(joined: Joined, replayed: number): void {
    const { channel, pattern } = joined
    if (isChannelPattern(channel)) {
      this.#patterns.add(channel)
      this.#bookmarks.addPattern(channel)
    } else {
      if (pattern === undefined) this.#bookmarks.keep(channel)
      else if (!this.#channels.has(channel as Channel)) this.#bookmarks.bring(channel, pattern)
      this.#enter(joined, replayed)
    }
  }

  /** Whether a channel was asked for by its name and fits a pattern, too: leaving the pattern must not end it. */
  isKept(channel: string): boolean {
    const fits = this.patterns.some((pattern) => matchesChannel(pattern, channel as Channel))
    return fits && this.#channels.has(channel as Channel) && !this.#bookmarks.isBrought(channel)
  }

  /**
   * The relay said LEFT.
   * @returns channels to leave as well, which nobody asked for by name
   */
  left(name: string): readonly Channel[] {
    if (!isChannelPattern(name)) {
      this.#forget(name as Channel)
      return []
    }
    this.#patterns.delete(name)
    return this.#bookmarks.forgetPattern(name).filter((channel) => {
      const other = this.patterns.find((pattern) => matchesChannel(pattern, channel as Channel))
      if (other !== undefined) this.#bookmarks.bring(channel, other)
      else this.#forget(channel as Channel)
      return other === undefined
    }) as Channel[]
  }

  /**
   * Enters every channel on a fresh session, each from its bookmark, making those that do not exist; then
   * every pattern.
   * @param only - these instead of all
   * @returns what could not be entered, with the reason
   */
  async enterAll(connection: Session, only?: ReadonlySet<string>): Promise<Map<string, ChatError>> {
    const failures = new Map<string, ChatError>()
    const serverId = connection.welcome.server_id
    const isWanted = (name: string) => only === undefined || only.has(name)
    const places = this.channels.filter(isWanted).map((channel) => ({
      channel,
      since: this.#bookmarks.since(serverId, channel),
    }))
    this.#bookmarks.reset(serverId)
    const attempt = async (name: string, enter: () => Promise<void>) => {
      try {
        await enter()
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        failures.set(name, error)
      }
    }
    const channels = places.map(({ channel, since }) =>
      attempt(channel, () => this.#enterChannel(connection, channel, since)),
    )
    // Answers come in order: a pattern, asked for last, only brings what is not known yet.
    const patterns = this.patterns.filter(isWanted).map((pattern) =>
      attempt(pattern, async () => {
        this.entered(await connection.request({ type: "JOIN", channel: pattern }), 0)
      }),
    )
    await Promise.all([...channels, ...patterns])
    return failures
  }

  async #enterChannel(connection: Session, channel: Channel, since: number | undefined): Promise<void> {
    const joined = await this.#join(connection, channel, since)
    if (joined === undefined) return
    await this.#refuseExposed(connection, joined)
    this.#enter(joined, connection.welcome.limits.buffer)
  }

  #enter(joined: Joined, replayed: number): void {
    const { channel, seq, invite_only: isInviteOnly, settings, durable } = joined
    const isNew = !this.#bookmarks.isKnown(channel)
    this.#channels.add(channel as Channel)
    if (durable === true) this.#durable.add(channel)
    else this.#durable.delete(channel)
    // A channel without replay must not give later what it withholds now.
    const follows = settings?.replay === false ? 0 : replayed
    this.#bookmarks.enter(channel, Math.max(0, seq - follows), { isInviteOnly })
    if (isNew) this.#onNew(joined)
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel)
    this.#durable.delete(channel)
    this.#bookmarks.forget(channel)
  }

  /** @returns undefined for a channel that only a pattern brought and that is gone */
  async #join(connection: Session, channel: Channel, since: number | undefined): Promise<Joined | undefined> {
    const join = { type: "JOIN" as const, channel, ...(since === undefined ? {} : { since }) }
    try {
      return await connection.request(join)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      if (!this.#bookmarks.isBrought(channel)) return this.#create(connection, channel, join)
      this.#forget(channel)
      return undefined
    }
  }

  async #create(
    connection: Session,
    channel: Channel,
    join: { type: "JOIN"; channel: Channel },
  ): Promise<Joined> {
    try {
      const isInviteOnly = this.#bookmarks.isInviteOnly(channel)
      return await connection.request({ type: "CREATE_CHANNEL", channel, invite_only: isInviteOnly })
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_EXISTS") throw error
      // Somebody else made it between our two requests, or it is invite-only: the second JOIN tells.
      return connection.request(join)
    }
  }

  /** A channel that was invite-only and now, on a restarted relay, is somebody's open one is another channel. */
  async #refuseExposed(connection: Session, joined: Joined): Promise<void> {
    const { channel, invite_only } = joined
    if (invite_only || !this.#bookmarks.isInviteOnly(channel)) return
    await connection.request({ type: "LEAVE", channel: channel as Channel })
    this.#forget(channel as Channel)
    throw new ChatError("CHANNEL_EXISTS", `${channel} was invite-only and is open to all now`)
  }
}
