/** Translates between this protocol and the clients of the first AgentChat, for `serve --compat`. */
import type { PresenceState } from "../../protocol/client-messages.js"
import { persistentIdPattern } from "../../protocol/names.js"
import { type Members, olderTypes } from "../../protocol/parse-message.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"

const statuses: Readonly<Record<string, PresenceState>> = {
  online: "idle",
  listening: "waiting",
  busy: "working",
  offline: "away",
}
const presences: Readonly<Record<string, string>> = { idle: "online", waiting: "listening", working: "busy" }
const activityLength = 200

/**
 * Translates a frame of a client.
 * @returns undefined for one without a counterpart: an ERROR would end the process of a client that does not expect one
 */
export function translateOlder(frame: Members, session: { isOlder: boolean }): Members | undefined {
  // Only those clients name a key that they do not have.
  if (frame["type"] === "IDENTIFY" && frame["pubkey"] === null) session.isOlder = true
  if (frame["type"] === "SET_PRESENCE") return translatePresence(frame)
  return olderTypes.has(frame["type"]) ? undefined : frame
}

function translatePresence({ status, status_text: text, ...others }: Members): Members {
  const activity = typeof text === "string" ? { activity: text.slice(0, activityLength) } : {}
  return { ...activity, ...others, status: statuses[String(status)] ?? status }
}

/** Formats a message of the relay as those clients expect it. */
export function formatOlder(message: ServerMessage): object {
  if (message.type !== "AGENTS" && message.type !== "JOINED") return message
  const byId = new Map(message.roster.map((entry) => [entry.id, entry]))
  const describe = (id: string) => olderEntry(id, byId.get(id))
  return message.type === "AGENTS"
    ? { ...message, list: message.list.map(describe) }
    : { ...message, agents: message.agents.map(describe) }
}

function olderEntry(id: string, entry: RosterEntry | undefined): object {
  const { name = id.slice(1), status = "idle", activity } = entry ?? {}
  const text = activity === undefined ? {} : { status_text: activity }
  return { id, name, verified: persistentIdPattern.test(id), presence: presences[status] ?? status, ...text }
}
