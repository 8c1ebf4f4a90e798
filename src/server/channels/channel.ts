import type { Clock } from "../../base/clock.js"
import type { AgentId, Channel as ChannelName } from "../../protocol/names.js"
import type { ChannelEntry, ChannelSettings, ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameBatch } from "../wire/frame-batch.js"
import type { FrameBuffer } from "../wire/frame-buffer.js"
import { type Payload, payloadOf } from "../wire/payload.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { ChannelHistory } from "./history.js"
import type { ReplayedMessage } from "./log-page.js"
import { MembershipNotices } from "./membership-notices.js"
import type { ChannelRecord } from "./record.js"
import { ReplayBuffer, type ReplayLimits } from "./replay-buffer.js"

/** How a channel is made. */
export interface ChannelOptions {
  readonly name: ChannelName
  readonly record: ChannelRecord
  /** Stays when nobody is in it. */
  readonly isPermanent: boolean
  /** The sequence number before the first message's; of a channel with a history, that tells. */
  readonly seq: number
  /** Where messages are kept; absent: as frames in memory. */
  readonly history?: ChannelHistory
  readonly limits: ReplayLimits
  readonly budget: ByteBudget
  readonly clock: Clock
  readonly tick: WriteScheduler
}

/** A room: who is in it, who may come in, and what was said last. */
export class Channel {
  readonly name: ChannelName
  readonly isPermanent: boolean
  /** Absent: messages are kept as frames in memory, and everything about them is done at once. */
  readonly history: ChannelHistory | undefined
  readonly #log: ReplayBuffer
  readonly #presence: MembershipNotices
  readonly #tick: WriteScheduler
  /** In the order they came. */
  readonly #members = new Set<Agent>()
  #record: ChannelRecord
  #invited: Set<string>
  #seq: number
  #run: FrameBatch | undefined
  #runAuthor: Agent | undefined

  constructor(options: ChannelOptions) {
    this.name = options.name
    this.isPermanent = options.isPermanent
    this.history = options.history
    this.#record = options.record
    this.#invited = new Set(options.record.invited)
    this.#tick = options.tick
    this.#seq = options.seq
    this.#log = new ReplayBuffer(options.limits, options.budget)
    this.#presence = new MembershipNotices(options.name, this, options.clock)
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

  /** All of it that is kept beside the messages. */
  get record(): ChannelRecord {
    return { ...this.#record, invited: [...this.#invited] }
  }

  /** Takes over what was decided about the channel, here or by another relay. */
  update(record: ChannelRecord): void {
    this.#record = record
    this.#invited = new Set(record.invited)
  }

  get entry(): ChannelEntry {
    const { isDurable, settings, isInviteOnly } = this.#record
    return {
      name: this.name,
      agents: this.#members.size,
      invite_only: isInviteOnly,
      ...(isDurable && { durable: true }),
      ...(Object.keys(settings).length > 0 && { settings }),
    }
  }

  /** An invite-only channel does not exist for those who are not invited. */
  isVisibleTo(id: AgentId): boolean {
    return !this.isInviteOnly || this.#invited.has(id)
  }

  /** Lets `id` in, also when it comes back. */
  invite(id: AgentId): void {
    this.#invited.add(id)
  }

  get invitations(): number {
    return this.#invited.size
  }

  /** Takes `agent` in; the others hear of it soon. */
  join(agent: Agent): void {
    if (this.#members.has(agent)) return
    this.#members.add(agent)
    this.#run = undefined
    this.#presence.note("joined", agent)
  }

  /** Lets `agent` go; the others hear of it soon. */
  leave(agent: Agent): void {
    if (!this.#members.delete(agent)) return
    this.#run = undefined
    this.#presence.note("left", agent)
  }

  /** Somebody who is connected to another relay came or went; the members hear of it soon. */
  noteElsewhere(movement: "joined" | "left", mover: { readonly id: string; readonly name: string }): void {
    if (this.#members.size > 0) this.#presence.note(movement, mover)
  }

  /** Sessions a message of `author` goes to: everybody's but its own. */
  recipientsOf(author: Agent): number {
    return this.#members.size - (this.#members.has(author) ? 1 : 0)
  }

  /** The number of the next message; {@link publish} that message at once. */
  claimSeq(): number {
    return ++this.#seq
  }

  /** The number of the newest message that is kept elsewhere; lower ones are old news. */
  reach(seq: number): void {
    this.#seq = Math.max(this.#seq, seq)
  }

  /** Queues the message that has the newest number for every member but its author, and keeps it for replay. */
  publish(author: Agent, payload: Payload, ts: number): void {
    this.#presence.flush()
    this.#queue(author, this.#log.append(this.#seq, payload, author.id, ts))
  }

  /**
   * Queues a message that {@link history} keeps for every member but its author.
   * @param author - undefined if it has no session on this relay
   */
  publishKept(author: Agent | undefined, payload: Payload): void {
    this.#presence.flush()
    this.#queue(author, this.#tick.jot(payload))
  }

  #queue(author: Agent | undefined, page: FrameBuffer): void {
    if (this.#runAuthor !== author || this.#run?.extend(page) !== true) this.#startRun(page, author)
  }

  /** Queues one message for some of the members. */
  deliver(message: ServerMessage, recipients: Iterable<Agent>): void {
    const run = new FrameBatch(this.#tick.jot(payloadOf(JSON.stringify(message))))
    for (const { outgoing } of recipients) outgoing.push(run)
  }

  /** What was said after `since`, or the newest `count` messages, oldest first. */
  replay(since: number | undefined, count: number): Iterable<ReplayedMessage> {
    return since === undefined ? this.#log.last(count) : this.#log.after(since)
  }

  /** Forgets what was said: nobody is left to read it. */
  vanish(): void {
    this.#log.clear()
  }

  /** Begins a run with the last message of `page`. */
  #startRun(page: FrameBuffer, author: Agent | undefined): void {
    const run = new FrameBatch(page)
    for (const member of this.#members) {
      if (member !== author) member.outgoing.push(run)
    }
    this.#run = run
    this.#runAuthor = author
  }
}
