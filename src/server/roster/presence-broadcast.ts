import type { Clock } from "../../base/clock.js"
import { Gcra } from "../../guards/gcra.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"
import { FrameBatch } from "../wire/frame-buffer.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { RosterFacts, RosterRecord } from "./roster-record.js"

/** Changes of presence that one agent may show at once, and per second after that. */
const changes = { burst: 5, ratePerSecond: 1 }

/**
 * Shows the changes of presence of each agent at a rate, because one small frame of it becomes a frame to each member of its
 * channels. Of changes that come faster only the last one is shown.
 */
export class PresencePacer {
  readonly #clock: Clock
  readonly #show: (session: Session) => void
  readonly #rates = new WeakMap<Session, Gcra>()
  readonly #waiting = new WeakSet<Session>()

  constructor(clock: Clock, show: (session: Session) => void) {
    this.#clock = clock
    this.#show = show
  }

  /** Shows the presence that the agent of a session has now, or soon. */
  note(session: Session): void {
    if (this.#waiting.has(session)) return
    const rate = this.#rates.get(session) ?? new Gcra(changes)
    this.#rates.set(session, rate)
    const admission = rate.admit(this.#clock.monotonic(), 1, Infinity)
    if (!admission.ok || admission.waitMs === 0) {
      this.#show(session)
      return
    }
    this.#waiting.add(session)
    const show = () => {
      this.#waiting.delete(session)
      if (session.isReady) this.#show(session)
    }
    this.#clock.setTimer(show, admission.waitMs, { unref: true })
  }
}

/** The members of a channel. */
type Membership = Pick<Channel, "members">

/** Sends the presence of an agent to everybody who shares one of `channels` with it, once each. */
export function broadcastPresence(
  writes: WriteScheduler,
  channels: Iterable<Membership>,
  facts: RosterFacts,
  ts: number,
): void {
  const recipients = new Set<Agent>()
  for (const { members } of channels) {
    for (const member of members) if (member.id !== facts.id) recipients.add(member)
  }
  if (recipients.size > 0) sendPresence(writes, recipients, [facts], ts)
}

/**
 * Sends the presence of agents that are connected to another relay to everybody who shares a channel with them.
 * Agents in the same channels are sent together, so the loss of a relay costs each member only a few writes.
 */
export function broadcastRemotePresence(
  writes: WriteScheduler,
  find: (channel: string) => Membership | undefined,
  records: readonly RosterRecord[],
  ts: number,
): void {
  for (const group of groupByChannels(records)) {
    const recipients = new Set<Agent>()
    for (const channel of group[0]?.channels ?? []) {
      for (const member of find(channel)?.members ?? []) recipients.add(member)
    }
    if (recipients.size > 0) sendPresence(writes, recipients, group, ts)
  }
}

/** Queues the presence of `agents` for all recipients, in as few batches as possible. */
function sendPresence(
  writes: WriteScheduler,
  recipients: Iterable<Agent>,
  agents: readonly RosterFacts[],
  ts: number,
): void {
  let batch: FrameBatch | undefined
  for (const facts of agents) {
    const frame = writes.append(JSON.stringify(formatPresence(facts, ts)))
    if (batch?.extend(frame) === true) continue
    batch = new FrameBatch(frame)
    for (const { sendQueue } of recipients) sendQueue.push(batch)
  }
}

function groupByChannels(records: readonly RosterRecord[]): Iterable<RosterRecord[]> {
  const groups = new Map<string, RosterRecord[]>()
  for (const record of records) {
    const key = record.channels.join()
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [record])
    else group.push(record)
  }
  return groups.values()
}

function formatPresence({ id, name, status, activity, role }: RosterFacts, ts: number): ServerMessage {
  return {
    type: "PRESENCE_CHANGED",
    agent: id,
    name,
    status,
    ...(activity !== undefined && { activity }),
    ...(role !== undefined && { role }),
    ts,
  }
}
