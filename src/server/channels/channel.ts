import type { Clock } from "../../base/clock.js"
import type { AgentId, Channel as ChannelName } from "../../protocol/names.js"
import type { ChannelEntry, ChannelSettings, ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameBatch, type FrameBuffer } from "../wire/frame-buffer.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { ChannelHistory } from "./history.js"
import { MembershipNotices } from "./membership-notices.js"
import type { ChannelRecord } from "./record.js"
import { ReplayBuffer, type ReplayedMessage, type ReplayLimits } from "./replay-buffer.js"

export interface ChannelOptions {
  readonly name: ChannelName
  readonly record: ChannelRecord
  /** True if the channel is kept when it has no members. */
  readonly isPermanent: boolean
  /** Number of the newest message. A channel with a history reads it later, see {@link Channel.advanceTo}. */
  readonly seq: number
  /** Where messages are stored; absent if they are kept in memory. */
  readonly history?: ChannelHistory
  readonly limits: ReplayLimits
  readonly budget: ByteBudget
  readonly clock: Clock
  readonly writes: WriteScheduler
  /** Reports whether the relay lets an agent read the channel, to which it is invited or not. */
  readonly mayRead: (id: AgentId, isInvited: boolean) => boolean
}

/** The author of a message; not always an agent with a session. */
type Author = Pick<Agent, "id">

/** A channel: its members, who may join, and the latest messages. */
export class Channel {
  readonly name: ChannelName
  readonly isPermanent: boolean
  /** Absent if messages are kept in memory, where everything is done at once. */
  readonly history: ChannelHistory | undefined
  readonly #replayBuffer: ReplayBuffer
  readonly #notices: MembershipNotices
  readonly #writes: WriteScheduler
  readonly #mayRead: (id: AgentId, isInvited: boolean) => boolean
  readonly #clock: Clock
  /** In the order they joined. */
  readonly #members = new Set<Agent>()
  #record: ChannelRecord
  #invited: Set<string>
  /** Number of members that only read, and that others do not see. */
  #hidden = 0
  /** True if an agent that did not leave may join again. */
  #mayReturn = false
  #seq: number
  /** The batch that the next message of the same author extends. */
  #batch: FrameBatch | undefined
  #batchAuthor: Author | undefined

  constructor(options: ChannelOptions) {
    this.name = options.name
    this.isPermanent = options.isPermanent
    this.history = options.history
    this.#record = options.record
    this.#invited = new Set(options.record.invited)
    this.#writes = options.writes
    this.#mayRead = options.mayRead
    this.#clock = options.clock
    this.#seq = options.seq
    this.#replayBuffer = new ReplayBuffer(options.limits, options.budget)
    this.#notices = new MembershipNotices(options.name, this, options.clock)
  }

  get members(): ReadonlySet<Agent> {
    return this.#members
  }

  /** Sequence number of the newest message. */
  get seq(): number {
    return this.#seq
  }

  get isInviteOnly(): boolean {
    return this.#record.isInviteOnly
  }

  get isDurable(): boolean {
    return this.#record.isDurable
  }

  get settings(): ChannelSettings {
    return this.#record.settings
  }

  get record(): ChannelRecord {
    return this.#record
  }

  /** Takes over a record that this or another relay wrote, and sends the members changed settings. */
  update(record: ChannelRecord): void {
    const { by, settings } = record
    const isChanged = JSON.stringify(settings) !== JSON.stringify(this.#record.settings)
    this.#record = record
    this.#invited = new Set(record.invited)
    if (!isChanged || by === undefined) return
    const ts = this.#clock.now()
    this.sendTo(this.#members, { type: "CHANNEL_CHANGED", channel: this.name, by, settings, ts })
  }

  /** The channel as CHANNELS lists it, with the members connected to this relay. */
  get entry(): ChannelEntry {
    const { isDurable, settings, isInviteOnly } = this.#record
    return {
      name: this.name,
      agents: this.#members.size - this.#hidden,
      invite_only: isInviteOnly,
      ...(isDurable && { durable: true }),
      ...(this.#seq > 0 && { seq: this.#seq }),
      ...(Object.keys(settings).length > 0 && { settings }),
    }
  }

  /** Returns whether `id` may see and join the channel. One that is invite-only exists only for those invited. */
  isVisibleTo(id: AgentId): boolean {
    return this.#mayRead(id, !this.isInviteOnly || this.#invited.has(id))
  }

  get invitedCount(): number {
    return this.#invited.size
  }

  join(agent: Agent): void {
    if (this.#members.has(agent)) return
    this.#members.add(agent)
    this.#batch = undefined
    if (agent.isHidden) this.#hidden++
    else this.#notices.add("joined", agent)
  }

  leave(agent: Agent): void {
    if (!this.#members.delete(agent)) return
    this.#batch = undefined
    if (agent.isHidden) this.#hidden--
    else this.#notices.add("left", agent)
  }

  /** Removes a member whose session ended. One with a key may come back. */
  disconnect(agent: Agent): void {
    if (agent.isPersistent) this.#mayReturn = true
    this.leave(agent)
  }

  /** Notes that the channel, which comes from a store, may have members that are disconnected. */
  expectOthers(): void {
    this.#mayReturn = true
  }

  /** Returns whether somebody else than `id` may come back, or is invited. */
  isExpectingOthers(id: AgentId): boolean {
    if (this.#mayReturn) return true
    return this.isInviteOnly && this.#invited.size > (this.#invited.has(id) ? 1 : 0)
  }

  /** Sends the members a notice that an agent on another relay joined or left. */
  noteRemote(movement: "joined" | "left", agent: { readonly id: string; readonly name: string }): void {
    if (this.#members.size > 0) this.#notices.add(movement, agent)
  }

  /** Returns the number of members a message of `author` goes to: all but the author itself. */
  recipientsOf(author: Agent): number {
    return this.#members.size - this.#hidden - (this.#members.has(author) ? 1 : 0)
  }

  /** Returns the number for the next message. {@link publish} that message in the same turn. */
  nextSeq(): number {
    return ++this.#seq
  }

  /** Sets the number of the newest message, for a channel with a history. */
  advanceTo(seq: number): void {
    this.#seq = Math.max(this.#seq, seq)
  }

  /** Queues the message that has the newest number for all members but its author, and keeps it for replay. */
  publish(author: Author, text: string, ts: number): void {
    this.#notices.flush()
    this.#queue(author, this.#replayBuffer.append(this.#seq, text, author.id, ts))
  }

  /**
   * Queues a message from {@link history} for all members but its author.
   * @param author - undefined if it is not connected here
   */
  publishStored(author: Agent | undefined, text: string): void {
    this.#notices.flush()
    this.#queue(author, this.#writes.append(text))
  }

  /** Queues a message for some of the members. */
  sendTo(recipients: Iterable<Agent>, message: ServerMessage): void {
    const batch = new FrameBatch(this.#writes.append(JSON.stringify(message)))
    for (const { sendQueue } of recipients) sendQueue.push(batch)
  }

  /** Yields the messages after `since`, or else the newest `count`, oldest first. */
  replay(since: number | undefined, count: number): Iterable<ReplayedMessage> {
    return since === undefined ? this.#replayBuffer.last(count) : this.#replayBuffer.after(since)
  }

  /** Drops all messages in memory. */
  clear(): void {
    this.#replayBuffer.clear()
  }

  #queue(author: Author | undefined, buffer: FrameBuffer): void {
    if (this.#batchAuthor === author && this.#batch?.extend(buffer) === true) return
    const batch = new FrameBatch(buffer)
    for (const member of this.#members) {
      if (member !== author) member.sendQueue.push(batch)
    }
    this.#batch = batch
    this.#batchAuthor = author
  }
}
