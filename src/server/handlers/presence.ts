import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import type { AgentId } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelayState } from "../relay-state.js"
import { broadcastPresence } from "../roster/presence-broadcast.js"
import { formatEntries, listRoster } from "../roster/roster.js"
import type { RosterFacts } from "../roster/roster-record.js"
import type { Session } from "../sessions/session.js"

/** Entries listed in AGENTS; the list of ids is whole. */
const rosterEntries = 1_000

/** Who is there, and what they do. */
export function presenceHandlers(
  house: RelayState,
): Pick<ClientHandlers<Session>, "LIST_AGENTS" | "SET_PRESENCE" | "PING"> {
  const { clock } = house.options
  return {
    LIST_AGENTS(session, message) {
      const { id, channel } = message
      const listed = listAgents(house, session, message)
      session.send({ type: "AGENTS", ...(channel !== undefined && { channel }), ...listed }, id)
    },

    SET_PRESENCE(session, { id, status, activity, role }) {
      const { agent } = session
      const ts = clock.now()
      if (agent.say(status, activity, role)) broadcastPresence(house.tick, session.channels, agent, ts)
      house.keeper.changed(session)
      house.tasks.update(agent)
      session.send({ type: "ACK", ts, state: "done" }, id)
    },

    PING(session, { id }) {
      session.send({ type: "PONG", ts: clock.now() }, id)
    },
  }
}

interface Listed {
  readonly list: readonly AgentId[]
  readonly roster: readonly RosterEntry[]
}

function listAgents(
  house: RelayState,
  session: Session,
  { agent: ref, channel, cards = false }: ClientMessage<"LIST_AGENTS">,
): Listed {
  const { roster } = house
  const { clock, limits } = house.options
  const showing = { now: clock.now(), staleMs: limits.staleMs, withCard: cards }
  if (ref !== undefined) {
    const facts = roster.find(resolveAgent(ref, roster, "agent"))
    const shown = facts === undefined ? [] : [facts]
    const online = shown.filter(({ status }) => status !== "offline")
    const whole = { ...showing, withCard: true, withKey: true }
    return { list: online.map(({ id }) => id), roster: formatEntries(shown, whole) }
  }
  if (channel === undefined) return listRoster(roster, rosterEntries, showing)
  const { name, members: here } = house.channels.find(channel, session.agent.id)
  const members: RosterFacts[] = [...here, ...roster.remoteMembers(name)]
  const list = members.map((member) => member.id)
  return { list, roster: formatEntries(members.slice(0, rosterEntries), showing) }
}
