import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import type { RotationClaim } from "../../protocol/message-fields.js"
import type { AgentId } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { resolveAgent, successionTo } from "../delivery/agent-lookup.js"
import { formatEntries, listRoster } from "../roster/roster.js"
import type { RosterFacts } from "../roster/roster-record.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Entries listed in AGENTS; the list of ids is complete. */
const rosterEntries = 1_000

interface AgentList {
  readonly list: readonly AgentId[]
  readonly roster: readonly RosterEntry[]
  readonly rotations?: readonly RotationClaim[]
}

/** Handles LIST_AGENTS, SET_PRESENCE and PING. */
export function presenceHandlers(
  { sessions, roster, channels }: Pick<Services, "sessions" | "roster" | "channels">,
  { clock, limits }: RelaySettings,
): Pick<ClientHandlers<Session>, "LIST_AGENTS" | "SET_PRESENCE" | "PING"> {
  function listAgents(
    session: Session,
    { agent: ref, channel: name, cards = false, all = false }: ClientMessage<"LIST_AGENTS">,
  ): AgentList {
    const showing = { now: clock.now(), staleMs: limits.staleMs, withCard: cards }
    if (ref !== undefined) {
      const id = resolveAgent(ref, roster, "agent")
      const facts = roster.find(id)
      const found = facts === undefined ? [] : [facts]
      const online = found.filter(({ status }) => status !== "offline")
      const complete = { ...showing, withCard: true, withKey: true }
      const proof = successionTo(id, ref, roster)
      return { list: online.map((one) => one.id), roster: formatEntries(found, complete), ...proof }
    }
    if (name === undefined) return listRoster(roster, { count: rosterEntries, isAll: all }, showing)
    const channel = channels.find(name, session.agent.id)
    const members: RosterFacts[] = [...channel.members, ...roster.remoteMembers(channel.name)]
    return {
      list: members.map(({ id }) => id),
      roster: formatEntries(members.slice(0, rosterEntries), showing),
    }
  }

  return {
    LIST_AGENTS(session, message) {
      const { id, channel } = message
      const listed = listAgents(session, message)
      session.send({ type: "AGENTS", ...(channel !== undefined && { channel }), ...listed }, id)
    },

    SET_PRESENCE(session, { id, status, activity, role }) {
      const isVisible = session.agent.setPresence(status, activity, role)
      sessions.emit("presence", session, isVisible)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },

    PING(session, { id }) {
      session.send({ type: "PONG", ts: clock.now() }, id)
    },
  }
}
