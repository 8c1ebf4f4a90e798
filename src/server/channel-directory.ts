import type { Clock, Timer } from "../base/clock.js"
import { closestNames } from "../base/closest-names.js"
import { ChatError } from "../protocol/errors.js"
import { defaultChannels, type Limits } from "../protocol/limits.js"
import { type AgentId, type Channel as ChannelName, parseChannel } from "../protocol/names.js"
import type { Agent } from "./agent.js"
import { Budget } from "./budget.js"
import { Channel } from "./channel.js"
import type { FlushTick } from "./flush-tick.js"

/**
 * Milliseconds a channel stays when its last member's connection ended: whoever reconnects finds its
 * invitations and what was said in the meantime. A channel that is left on purpose goes at once.
 */
const lingerMs = 60_000

/** Every channel of a relay. */
export class ChannelDirectory {
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #tick: FlushTick
  readonly #budget: Budget
  readonly #channels = new Map<ChannelName, Channel>()
  readonly #lingering = new Map<Channel, Timer>()
  /** Over every sequence number of a channel that is gone, so that no bookmark points past a new one's end. */
  #seqFloor = 0

  constructor(limits: Limits, clock: Clock, tick: FlushTick) {
    this.#limits = limits
    this.#clock = clock
    this.#tick = tick
    this.#budget = new Budget(limits.retainedTotalBytes)
    for (const name of defaultChannels)
      this.#open(parseChannel(name), { isInviteOnly: false, isPermanent: true })
  }

  get size(): number {
    return this.#channels.size
  }

  /** The channels `id` may see, by name. */
  visibleTo(id: AgentId): Channel[] {
    const visible = [...this.#channels.values()].filter((channel) => channel.isVisibleTo(id))
    return visible.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * The channel of that name, if `id` may know of it.
   * @throws {ChatError} CHANNEL_NOT_FOUND with names `id` may have meant
   */
  find(name: ChannelName, id: AgentId): Channel {
    const channel = this.#channels.get(name)
    if (channel?.isVisibleTo(id) === true) return channel
    throw new ChatError("CHANNEL_NOT_FOUND", `channel: there is no ${name} here`, {
      candidates: closestNames(
        name,
        this.visibleTo(id).map((visible) => visible.name),
      ),
      hint: "CREATE_CHANNEL makes it",
    })
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

  /** @throws {ChatError} CHANNEL_EXISTS, LIMIT_REACHED */
  create(name: ChannelName, isInviteOnly: boolean): Channel {
    if (this.#channels.has(name)) {
      throw new ChatError("CHANNEL_EXISTS", `channel: ${name} exists`, {
        hint: "JOIN it, or ask a member for an invitation",
      })
    }
    if (this.#channels.size >= this.#limits.channels) {
      throw new ChatError("LIMIT_REACHED", `channel: this relay holds ${this.#limits.channels} at most`)
    }
    return this.#open(name, { isInviteOnly, isPermanent: false })
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

  #open(name: ChannelName, kind: { isInviteOnly: boolean; isPermanent: boolean }): Channel {
    const channel = new Channel({
      name,
      ...kind,
      seq: this.#seqFloor,
      limits: this.#limits,
      budget: this.#budget,
      clock: this.#clock,
      tick: this.#tick,
    })
    this.#channels.set(name, channel)
    return channel
  }

  #closeIfEmpty(channel: Channel): void {
    this.#lingering.delete(channel)
    if (channel.members.size > 0 || channel.isPermanent || this.#channels.get(channel.name) !== channel)
      return
    this.#channels.delete(channel.name)
    this.#seqFloor = Math.max(this.#seqFloor, channel.seq)
    channel.vanish()
  }
}
