/** Translates between this protocol and the clients of the first AgentChat, for `serve --compat`. */
import type { PresenceState } from "../../protocol/client-messages.js"
import type { Members } from "../../protocol/parse-message.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"

/** Messages without a counterpart. An ERROR would end the process of a client that does not expect one. */
const ignored: ReadonlySet<unknown> = new Set(["SET_NICK", "TYPING", "FILE_CHUNK", "RESPONDING_TO"])

const statuses: Readonly<Record<string, PresenceState>> = {
  online: "idle",
  listening: "waiting",
  busy: "working",
  offline: "away",
}
const presences: Readonly<Record<string, string>> = { idle: "online", waiting: "listening", working: "busy" }
const activityLength = 200

/** Translates a frame of a client. @returns undefined for one to ignore */
export function translateOlder(frame: Members, session: { isOlder: boolean }): Members | undefined {
  // Only those clients name a key that they do not have.
  if (frame["type"] === "IDENTIFY" && frame["pubkey"] === null) session.isOlder = true
  if (frame["type"] === "SET_PRESENCE") return translatePresence(frame)
  return ignored.has(frame["type"]) ? undefined : frame
}

function translatePresence({ status, status_text: text, ...others }: Members): Members {
  const activity = typeof text === "string" ? { activity: text.slice(0, activityLength) } : {}
  return { ...activity, ...others, status: statuses[String(status)] ?? status }
}

/** Formats a message of the relay as those clients expect it. */
export function formatOlder(message: ServerMessage): object {
  if (message.type !== "AGENTS") return message
  const byId = new Map(message.roster.map((entry) => [entry.id, entry]))
  return { ...message, list: message.list.map((id) => olderEntry(id, byId.get(id))) }
}

function olderEntry(id: string, entry: RosterEntry | undefined): object {
  const { name = id.slice(1), status = "idle", activity } = entry ?? {}
  const text = activity === undefined ? {} : { status_text: activity }
  return { id, name, presence: presences[status] ?? status, ...text }
}
