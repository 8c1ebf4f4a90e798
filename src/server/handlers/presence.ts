import { isSignedBy } from "../../identity/wake-lease.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { RotationClaim } from "../../protocol/message-fields.js"
import type { AgentId } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { isCurrent, maxLeaseMs, type WakeLease } from "../../protocol/wake.js"
import { resolveAgent, successionTo } from "../delivery/agent-lookup.js"
import { formatEntries, listRoster } from "../roster/roster.js"
import type { RosterFacts } from "../roster/roster-record.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"

/** Entries listed in AGENTS; the list of ids is complete. */
const rosterEntries = 1_000

/** Claims listed with an agent. */
const shownClaims = 8

interface AgentList {
  readonly list: readonly AgentId[]
  readonly roster: readonly RosterEntry[]
  readonly rotations?: readonly RotationClaim[]
}

/** @throws {ChatError} IDENTITY_REQUIRED, INVALID_MSG, VERIFICATION_FAILED */
function checkLease(
  lease: WakeLease,
  { id, isPersistent }: Pick<Agent, "id" | "isPersistent">,
  serverId: string,
  now: number,
): void {
  if (!isPersistent) {
    throw new ChatError("IDENTITY_REQUIRED", "lease: only an agent with a key can sign one", {
      hint: "connect with an identity",
    })
  }
  if (!isCurrent(lease, now)) {
    const hours = maxLeaseMs / 3_600_000
    throw new ChatError("INVALID_MSG", `lease: must be valid now and end at most ${hours} h after proven_ts`)
  }
  if (!isSignedBy(lease, id, serverId)) {
    throw new ChatError("VERIFICATION_FAILED", "lease.sig: must be made for this relay by your own key")
  }
}

type PresenceServices = Pick<Services, "backbone" | "sessions" | "roster" | "channels" | "claims">

/** Handles LIST_AGENTS, SET_PRESENCE, SET_ATTENTION, SET_WAKE_LEASE and PING. */
export function presenceHandlers(
  { backbone, sessions, roster, channels, claims }: PresenceServices,
  { clock, limits }: RelaySettings,
): Pick<
  ClientHandlers<Session>,
  "LIST_AGENTS" | "SET_PRESENCE" | "SET_ATTENTION" | "SET_WAKE_LEASE" | "PING"
> {
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
    const seen = [...channel.members].filter(({ isHidden }) => !isHidden)
    const members: RosterFacts[] = [...seen, ...roster.remoteMembers(channel.name)]
    return {
      list: members.map(({ id }) => id),
      roster: formatEntries(members.slice(0, rosterEntries), showing),
    }
  }

  return {
    LIST_AGENTS(session, message) {
      const { id, channel } = message
      const listed = listAgents(session, message)
      const owners = claims.byOwner()
      const entries = listed.roster.map((entry) => {
        const own = owners.get(entry.id)
        return own === undefined ? entry : { ...entry, claims: own.slice(0, shownClaims) }
      })
      session.send(
        { type: "AGENTS", ...(channel !== undefined && { channel }), ...listed, roster: entries },
        id,
      )
    },

    SET_PRESENCE(session, { id, status, activity, role, attention }) {
      const isVisible = session.agent.setPresence(status, activity, role, attention)
      sessions.emit("presence", session, isVisible)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },

    SET_ATTENTION(session, { id }) {
      // The daemon of the agent decides what wakes it; the relay only says that the request is valid.
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },

    SET_WAKE_LEASE(session, { id, lease }) {
      const { agent } = session
      if (lease !== undefined) checkLease(lease, agent, backbone.id, clock.now())
      agent.wakeable = lease
      sessions.emit("presence", session, false)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },

    PING(session, { id }) {
      session.send({ type: "PONG", ts: clock.now() }, id)
    },
  }
}
