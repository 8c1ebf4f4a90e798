import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../agent.js"
import type { FlushTick } from "../flush-tick.js"
import type { House } from "../house.js"
import { payloadOf } from "../payload.js"
import { Run } from "../run.js"
import type { Session } from "../session.js"

/** Entries listed in AGENTS; the list of ids is whole. */
const rosterEntries = 1_000

/** Who is there, and what they do. */
export function presenceHandlers(
  house: House,
): Pick<ClientHandlers<Session>, "LIST_AGENTS" | "SET_PRESENCE" | "PING"> {
  const { channels, hub } = house
  const { clock } = house.options
  return {
    LIST_AGENTS(session, { id, channel }) {
      const agents =
        channel === undefined
          ? Array.from(hub.sessions(), (online) => online.agent)
          : [...channels.find(channel, session.agent.id).members]
      const list = agents.map((agent) => agent.id)
      const roster = agents.slice(0, rosterEntries).map((agent) => agent.rosterEntry)
      session.send({ type: "AGENTS", ...(channel !== undefined && { channel }), list, roster }, id)
    },

    SET_PRESENCE(session, { id, status, activity, role }) {
      const { agent } = session
      const ts = clock.now()
      agent.status = status
      agent.activity = activity
      agent.role = role ?? agent.role
      const { id: _, ...presence } = agent.rosterEntry
      tellNeighbours(house.tick, session, { type: "PRESENCE_CHANGED", agent: agent.id, ...presence, ts })
      session.send({ type: "ACK", ts, state: "done" }, id)
    },

    PING(session, { id }) {
      session.send({ type: "PONG", ts: clock.now() }, id)
    },
  }
}

/** Tells everybody who shares a channel, once each. */
function tellNeighbours(tick: FlushTick, session: Session, message: ServerMessage): void {
  const neighbours = new Set<Agent>()
  for (const { members } of session.channels) {
    for (const member of members) neighbours.add(member)
  }
  neighbours.delete(session.agent)
  if (neighbours.size === 0) return
  const run = new Run(tick.jot(payloadOf(JSON.stringify(message))))
  for (const { outgoing } of neighbours) outgoing.push(run)
}
