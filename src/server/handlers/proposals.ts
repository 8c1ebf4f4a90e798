import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { Verb } from "../../protocol/verbs.js"
import type { Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Handles the statements of deals. */
export function proposalHandlers({
  deals,
  grants,
}: Pick<Services, "deals" | "grants">): Pick<ClientHandlers<Session>, Verb | "LIST_PROPOSALS"> {
  const record = async (session: Session, frame: { readonly type: Verb; readonly id?: string }) => {
    session.send(await deals.record(session.agent, frame), frame.id)
  }
  return {
    PROPOSAL: record,
    ACCEPT: record,
    REJECT: record,
    COMPLETE: record,
    DISPUTE: record,

    async LIST_PROPOSALS(session, { id, proposal, since, all = false }) {
      const refusal = all ? grants.auditRefusal(session.agent, "LIST_PROPOSALS.all") : undefined
      if (refusal !== undefined) throw refusal
      session.send(await deals.list(session.agent, { proposal, since, all }), id)
    },
  }
}
