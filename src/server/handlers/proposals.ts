import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { Verb } from "../../protocol/verbs.js"
import type { Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Deals between two agents. */
export function proposalHandlers({
  deals,
}: Pick<Services, "deals">): Pick<ClientHandlers<Session>, Verb | "LIST_PROPOSALS"> {
  const say = async (session: Session, frame: { readonly type: Verb; readonly id?: string }) => {
    session.send(await deals.say(session.agent, frame), frame.id)
  }
  return {
    PROPOSAL: say,
    ACCEPT: say,
    REJECT: say,
    COMPLETE: say,
    DISPUTE: say,

    async LIST_PROPOSALS(session, { id, proposal, since }) {
      session.send(await deals.list(session.agent, { proposal, since }), id)
    },
  }
}
