import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Entries of the audit log in one answer. */
const maxEntries = 100

/** Handles the actions of operators, and questions about them. */
export function moderationHandlers(
  { moderation, grants, roster, backbone }: Pick<Services, "moderation" | "grants" | "roster" | "backbone">,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "MODERATE" | "LIST_AUDIT"> {
  return {
    async MODERATE(session, { id, statement }) {
      const { agent } = statement
      const current = agent === undefined ? undefined : resolveAgent(agent, roster, "agent")
      if (current !== agent?.toLowerCase()) {
        throw new ChatError("INVALID_MSG", `agent: must be the id that the agent has now: ${String(current)}`)
      }
      const isDone = await moderation.carry(statement)
      session.send({ type: "ACK", ts: clock.now(), state: isDone ? "done" : "accepted" }, id)
    },

    LIST_AUDIT(session, { id, after = 0 }) {
      const refusal = grants.auditRefusal(session.agent, "LIST_AUDIT")
      if (refusal !== undefined) throw refusal
      const later = moderation.entries().filter(({ seq }) => seq > after)
      const list = later.slice(0, maxEntries)
      const more = later.length > maxEntries ? { more: true } : {}
      session.send({ type: "AUDIT", server_id: backbone.id, list, ...more }, id)
    },
  }
}
