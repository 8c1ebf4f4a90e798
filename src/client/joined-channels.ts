import { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { Connection } from "./connection.js"

interface Membership {
  readonly inviteOnly: boolean
  /** The pattern that brought it; undefined for a channel that was entered by its name. */
  readonly pattern: string | undefined
  /** Sequence number of the newest message seen; means something to the relay of `serverId` only. */
  seq: number
  serverId: string
}

/** The channels a client is in, and how far it has read each, so that a new session goes on where the last ended. */
export class JoinedChannels {
  readonly #memberships = new Map<string, Membership>()
  readonly #patterns = new Set<string>()

  get names(): readonly string[] {
    return [...this.#memberships.keys()]
  }

  /** Patterns whose channels are entered as they come to be. */
  get patterns(): readonly string[] {
    return [...this.#patterns]
  }

  entered(joined: ServerMessage<"JOINED">, serverId: string): void {
    const { channel, seq, invite_only: inviteOnly, pattern } = joined
    if (channel === pattern) this.#patterns.add(pattern)
    else this.#memberships.set(channel, { inviteOnly, seq, serverId, pattern })
  }

  /** @param channel - or a pattern: then the channels it brought are left too */
  left(channel: string): void {
    this.#memberships.delete(channel)
    if (!this.#patterns.delete(channel)) return
    for (const [name, { pattern }] of this.#memberships) {
      if (pattern === channel) this.#memberships.delete(name)
    }
  }

  clear(): void {
    this.#memberships.clear()
    this.#patterns.clear()
  }

  saw({ to, seq }: ServerMessage<"MSG">): void {
    const membership = this.#memberships.get(to)
    if (membership !== undefined && seq !== undefined) membership.seq = Math.max(membership.seq, seq)
  }

  /**
   * Enters every channel again. One that vanished with a restarted relay is made again.
   * @returns why channels could not be entered
   */
  async enterAgain(connection: Connection): Promise<ChatError[]> {
    const entries = [...this.#memberships]
    const outcomes = await Promise.allSettled(
      entries.map(([channel, membership]) => this.#enter(connection, channel, membership)),
    )
    // Only now: a pattern brings its channels from their end, and those known go on where they stopped.
    const entered = await Promise.allSettled(
      this.patterns.map((channel) => connection.request({ type: "JOIN", channel })),
    )
    const failures: ChatError[] = []
    for (const outcome of [...outcomes, ...entered]) {
      if (outcome.status === "fulfilled") continue
      if (!(outcome.reason instanceof ChatError)) throw outcome.reason
      failures.push(outcome.reason)
    }
    return failures
  }

  async #enter(connection: Connection, channel: string, membership: Membership): Promise<void> {
    const serverId = connection.welcome.server_id
    const since: { since?: number } = membership.serverId === serverId ? { since: membership.seq } : {}
    try {
      const joined = await connection.request({ type: "JOIN", channel, ...since })
      // The replay is still to come: until it has, this session knows no more than the last one did.
      this.entered(
        {
          ...joined,
          ...(membership.pattern === undefined ? {} : { pattern: membership.pattern }),
          seq: since.since ?? joined.seq,
        },
        serverId,
      )
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      if (membership.pattern !== undefined) {
        this.#memberships.delete(channel)
        return
      }
      const create = { type: "CREATE_CHANNEL", channel, invite_only: membership.inviteOnly } as const
      this.entered(await connection.request(create), serverId)
    }
  }
}
