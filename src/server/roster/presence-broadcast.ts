import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import { FrameBatch } from "../wire/frame-batch.js"
import { payloadOf } from "../wire/payload.js"
import type { WriteScheduler } from "../wire/write-scheduler.js"
import type { RosterFacts, RosterRecord } from "./roster-record.js"

/** A channel, as far as one's neighbours in it matter. */
interface Company {
  readonly members: ReadonlySet<Agent>
}

/** Tells everybody who shares one of `channels` with `facts.id` what that agent does now, once each. */
export function broadcastPresence(
  tick: WriteScheduler,
  channels: Iterable<Company>,
  facts: RosterFacts,
  ts: number,
): void {
  const neighbours = new Set<Agent>()
  for (const { members } of channels) {
    for (const member of members) if (member.id !== facts.id) neighbours.add(member)
  }
  if (neighbours.size === 0) return
  const run = new FrameBatch(tick.jot(payloadOf(JSON.stringify(presenceOf(facts, ts)))))
  for (const { outgoing } of neighbours) outgoing.push(run)
}

/**
 * Tells everybody in one of these channels what agents that are connected to another relay do now. Those in the
 * same channels are told of together: a relay that is gone costs each member a few messages' worth of work.
 */
export function broadcastRemotePresence(
  tick: WriteScheduler,
  find: (channel: string) => Company | undefined,
  records: readonly RosterRecord[],
  ts: number,
): void {
  for (const alike of groupByChannels(records)) {
    const members = new Set<Agent>()
    for (const channel of alike[0]?.channels ?? []) {
      for (const member of find(channel)?.members ?? []) members.add(member)
    }
    if (members.size > 0) tellAll(tick, members, alike, ts)
  }
}

/** Queues all of it in as few runs as may be. */
function tellAll(
  tick: WriteScheduler,
  members: Iterable<Agent>,
  records: readonly RosterRecord[],
  ts: number,
): void {
  let run: FrameBatch | undefined
  for (const record of records) {
    const page = tick.jot(payloadOf(JSON.stringify(presenceOf(record, ts))))
    if (run?.extend(page) === true) continue
    run = new FrameBatch(page)
    for (const { outgoing } of members) outgoing.push(run)
  }
}

function groupByChannels(records: readonly RosterRecord[]): Iterable<RosterRecord[]> {
  const groups = new Map<string, RosterRecord[]>()
  for (const record of records) {
    const key = record.channels.join()
    const alike = groups.get(key)
    if (alike === undefined) groups.set(key, [record])
    else alike.push(record)
  }
  return groups.values()
}

function presenceOf({ id, name, status, activity, role }: RosterFacts, ts: number): ServerMessage {
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
