import { omitUndefined } from "../base/plain.js"
import { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { ChannelNumbers, restartAfter } from "./channel-numbers.js"
import type { Connection } from "./connection.js"

/** Channels that are joined again in the next session; a relay has at most a tenth as many by default. */
const maxMemberships = 10_000

interface Membership {
  readonly inviteOnly: boolean
  /** The pattern through which it was joined; undefined if it was joined by name. */
  readonly pattern: string | undefined
  /** Sequence number of the newest message seen; valid only for the relay `serverId`. */
  seq: number
  serverId: string
  readonly numbers: ChannelNumbers
}

/** The channels of a client and how far it has read each, so that a new session continues where the last one ended. */
export class JoinedChannels {
  readonly #memberships = new Map<string, Membership>()
  readonly #patterns = new Set<string>()

  get names(): readonly string[] {
    return [...this.#memberships.keys()]
  }

  /** Patterns whose channels are joined when they are created. */
  get patterns(): readonly string[] {
    return [...this.#patterns]
  }

  /** @param position - of the newest message seen; by default that of JOINED */
  joined(joined: ServerMessage<"JOINED">, serverId: string, position = joined.seq): void {
    const { channel, seq: top, invite_only: inviteOnly, pattern } = joined
    if (channel === pattern) this.#patterns.add(pattern)
    else if (this.#memberships.has(channel) || this.#memberships.size < maxMemberships) {
      const numbers = new ChannelNumbers(top)
      this.#memberships.set(channel, { inviteOnly, seq: position, serverId, pattern, numbers })
    }
  }

  /** @param channel - a channel, or a pattern together with the channels joined through it */
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

  /** Records that a message was read. */
  onRead({ to, seq }: ServerMessage<"MSG">): void {
    const membership = this.#memberships.get(to)
    if (membership === undefined || seq === undefined) return
    const step = membership.numbers.take(seq)
    if (step === "back") membership.seq = seq
    else if (step === "next") membership.seq = Math.max(membership.seq, seq)
  }

  /**
   * Joins every channel again. Creates a channel that a restarted relay has lost.
   * @returns the errors of channels that could not be joined
   */
  async rejoin(connection: Connection): Promise<ChatError[]> {
    const entries = [...this.#memberships]
    const outcomes = await Promise.allSettled(
      entries.map(([channel, membership]) => this.#join(connection, channel, membership)),
    )
    // Patterns come last: they join channels at their end, but known channels continue where they stopped.
    const joinedPatterns = await Promise.allSettled(
      this.patterns.map((channel) => connection.request({ type: "JOIN", channel })),
    )
    const failures: ChatError[] = []
    for (const outcome of [...outcomes, ...joinedPatterns]) {
      if (outcome.status === "fulfilled") continue
      if (!(outcome.reason instanceof ChatError)) throw outcome.reason
      failures.push(outcome.reason)
    }
    return failures
  }

  async #join(connection: Connection, channel: string, membership: Membership): Promise<void> {
    const { server_id: serverId, limits } = connection.welcome
    const since = membership.serverId === serverId ? membership.seq : undefined
    try {
      const join = { type: "JOIN", channel, ...omitUndefined({ since }) } as const
      const joined = await connection.request(join)
      const restart = restartAfter(since, joined, limits.buffer)
      if (restart?.isFar === true) await connection.request({ ...join, since: restart.position })
      const { pattern } = membership
      // The replay has not arrived yet, so this session has read no further than the last one.
      const position = restart?.position ?? since
      this.joined({ ...joined, ...omitUndefined({ pattern }) }, serverId, position)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      if (membership.pattern !== undefined) {
        this.#memberships.delete(channel)
        return
      }
      const create = { type: "CREATE_CHANNEL", channel, invite_only: membership.inviteOnly } as const
      this.joined(await connection.request(create), serverId)
    }
  }
}
