import type { Clock } from "../base/clock.js"
import type { AgentId, Channel as ChannelName } from "../protocol/names.js"
import type { ChannelEntry, ServerMessage } from "../protocol/server-messages.js"
import type { Agent } from "./agent.js"
import type { Budget } from "./budget.js"
import { ChannelLog, type LogLimits } from "./channel-log.js"
import type { FlushTick } from "./flush-tick.js"
import type { FramePage } from "./frame-page.js"
import { type Payload, payloadOf } from "./payload.js"
import { PresenceWindow } from "./presence.js"
import { Run } from "./run.js"

/** How a channel is made. */
export interface ChannelOptions {
  readonly name: ChannelName
  readonly isInviteOnly: boolean
  /** Stays when nobody is in it. */
  readonly isPermanent: boolean
  /** The sequence number before the first message's. */
  readonly seq: number
  readonly limits: LogLimits
  readonly budget: Budget
  readonly clock: Clock
  readonly tick: FlushTick
}

/** A room: who is in it, who may come in, and what was said last. */
export class Channel {
  readonly name: ChannelName
  readonly isInviteOnly: boolean
  readonly isPermanent: boolean
  readonly #log: ChannelLog
  readonly #presence: PresenceWindow
  readonly #tick: FlushTick
  /** In the order they came. */
  readonly #members = new Set<Agent>()
  readonly #invited = new Set<AgentId>()
  #seq: number
  #run: Run | undefined
  #runAuthor: Agent | undefined

  constructor(options: ChannelOptions) {
    this.name = options.name
    this.isInviteOnly = options.isInviteOnly
    this.isPermanent = options.isPermanent
    this.#tick = options.tick
    this.#seq = options.seq
    this.#log = new ChannelLog(options.limits, options.budget)
    this.#presence = new PresenceWindow(options.name, this, options.clock)
  }

  get members(): ReadonlySet<Agent> {
    return this.#members
  }

  /** Sequence number of the newest message. */
  get seq(): number {
    return this.#seq
  }

  get entry(): ChannelEntry {
    return { name: this.name, agents: this.#members.size, invite_only: this.isInviteOnly }
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

  /** Sessions a message of `author` goes to: everybody's but its own. */
  recipientsOf(author: Agent): number {
    return this.#members.size - (this.#members.has(author) ? 1 : 0)
  }

  /** The number of the next message; {@link publish} that message at once. */
  claimSeq(): number {
    return ++this.#seq
  }

  /** Keeps the message that has the newest number and queues it for every member but its author. */
  publish(author: Agent, payload: Payload): void {
    this.#presence.flush()
    const page = this.#log.append(this.#seq, payload)
    if (this.#runAuthor !== author || this.#run?.extend(page) !== true) this.#startRun(page, author)
  }

  /** Queues one message for some of the members. */
  deliver(message: ServerMessage, recipients: Iterable<Agent>): void {
    const run = new Run(this.#tick.jot(payloadOf(JSON.stringify(message))))
    for (const { outgoing } of recipients) outgoing.push(run)
  }

  /** What was said after `since`, or the newest `count` messages, oldest first, as JSON. */
  replay(since: number | undefined, count: number): Iterable<string> {
    return since === undefined ? this.#log.last(count) : this.#log.after(since)
  }

  /** Forgets what was said: nobody is left to read it. */
  vanish(): void {
    this.#log.clear()
  }

  /** Begins a run with the last message of `page`. */
  #startRun(page: FramePage, author: Agent): void {
    const run = new Run(page)
    for (const member of this.#members) {
      if (member !== author) member.outgoing.push(run)
    }
    this.#run = run
    this.#runAuthor = author
  }
}
