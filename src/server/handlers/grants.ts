import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Handles questions about grants. */
export function grantHandlers({
  grants,
  guards,
  moderation,
}: Pick<Services, "grants" | "guards" | "moderation">): Pick<ClientHandlers<Session>, "LIST_GRANTS"> {
  return {
    LIST_GRANTS(session, { id }) {
      if (!guards.isOperator(session.agent.id)) {
        throw new ChatError("OPERATOR_REQUIRED", "LIST_GRANTS: only an operator of the relay may do this")
      }
      const list = grants.rows().map(({ grant, keys }) => {
        const revoked = moderation.isRevoked(grant.id) ? { revoked: true } : {}
        return { grant, keys, ...revoked }
      })
      session.send({ type: "GRANTS", list }, id)
    },
  }
}
