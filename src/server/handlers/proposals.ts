import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { Verb } from "../../protocol/verbs.js"
import type { Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Handles the statements of deals. */
export function proposalHandlers({
  deals,
}: Pick<Services, "deals">): Pick<ClientHandlers<Session>, Verb | "LIST_PROPOSALS"> {
  const record = async (session: Session, frame: { readonly type: Verb; readonly id?: string }) => {
    session.send(await deals.record(session.agent, frame), frame.id)
  }
  return {
    PROPOSAL: record,
    ACCEPT: record,
    REJECT: record,
    COMPLETE: record,
    DISPUTE: record,

    async LIST_PROPOSALS(session, { id, proposal, since }) {
      session.send(await deals.list(session.agent, { proposal, since }), id)
    },
  }
}
