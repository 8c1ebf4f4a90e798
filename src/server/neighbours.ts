import type { ServerMessage } from "../protocol/server-messages.js"
import type { Agent } from "./agent.js"
import type { FlushTick } from "./flush-tick.js"
import { payloadOf } from "./payload.js"
import type { RosterFacts } from "./roster-record.js"
import { Run } from "./run.js"

/** A channel, as far as one's neighbours in it matter. */
interface Company {
  readonly members: ReadonlySet<Agent>
}

/** Tells everybody who shares one of `channels` with `facts.id` what that agent does now, once each. */
export function tellPresence(
  tick: FlushTick,
  channels: Iterable<Company>,
  facts: RosterFacts,
  ts: number,
): void {
  const neighbours = new Set<Agent>()
  for (const { members } of channels) {
    for (const member of members) if (member.id !== facts.id) neighbours.add(member)
  }
  if (neighbours.size === 0) return
  const run = new Run(tick.jot(payloadOf(JSON.stringify(presenceOf(facts, ts)))))
  for (const { outgoing } of neighbours) outgoing.push(run)
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
