import type { Connection } from "../client/connection.js"
import { ChatError } from "../protocol/errors.js"
import type { Channel } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { Bookmarks } from "./bookmarks.js"

/** The channels a daemon is in, kept over reconnects and restarts. */
export class Memberships {
  readonly #bookmarks: Bookmarks
  readonly #channels: Set<Channel>

  /** @param channels - the channels to be in from the first session on */
  constructor(bookmarks: Bookmarks, channels: Iterable<Channel>) {
    this.#bookmarks = bookmarks
    this.#channels = new Set(channels)
  }

  get channels(): readonly Channel[] {
    return [...this.#channels]
  }

  /**
   * The relay said JOINED.
   * @param replayed - how many of the channel's last messages follow at most
   */
  entered({ channel, seq, invite_only }: ServerMessage<"JOINED">, replayed: number): void {
    this.#channels.add(channel as Channel)
    this.#bookmarks.enter(channel, Math.max(0, seq - replayed), { isInviteOnly: invite_only })
  }

  /** The relay said LEFT. */
  left(channel: Channel): void {
    this.#channels.delete(channel)
    this.#bookmarks.forget(channel)
  }

  /**
   * Enters every channel on a fresh session, each from its bookmark, making those that do not exist.
   * @returns the channels that could not be entered, with the reason
   */
  async enterAll(connection: Connection): Promise<Map<Channel, ChatError>> {
    const failures = new Map<Channel, ChatError>()
    const serverId = connection.welcome.server_id
    const places = this.channels.map((channel) => ({
      channel,
      since: this.#bookmarks.since(serverId, channel),
    }))
    this.#bookmarks.reset(serverId)
    await Promise.all(
      places.map(async ({ channel, since }) => {
        try {
          const joined = await this.#enter(connection, channel, since)
          await this.#refuseExposed(connection, joined)
          this.entered(joined, connection.welcome.limits.buffer)
        } catch (error) {
          if (!(error instanceof ChatError)) throw error
          failures.set(channel, error)
        }
      }),
    )
    return failures
  }

  async #enter(
    connection: Connection,
    channel: Channel,
    since: number | undefined,
  ): Promise<ServerMessage<"JOINED">> {
    const join = { type: "JOIN" as const, channel, ...(since === undefined ? {} : { since }) }
    try {
      return await connection.request(join)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      return this.#create(connection, channel, join)
    }
  }

  async #create(
    connection: Connection,
    channel: Channel,
    join: { type: "JOIN"; channel: Channel },
  ): Promise<ServerMessage<"JOINED">> {
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
  async #refuseExposed(connection: Connection, joined: ServerMessage<"JOINED">): Promise<void> {
    const { channel, invite_only } = joined
    if (invite_only || !this.#bookmarks.isInviteOnly(channel)) return
    await connection.request({ type: "LEAVE", channel: channel as Channel })
    this.#channels.delete(channel as Channel)
    this.#bookmarks.forget(channel)
    throw new ChatError("CHANNEL_EXISTS", `${channel} was invite-only and is open to all now`)
  }
}
