import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

/** Handles claims of files. */
export function claimHandlers(
  { claims }: Pick<Services, "claims">,
  { clock }: Pick<RelaySettings, "clock">,
): Pick<ClientHandlers<Session>, "CLAIM_PATHS" | "RELEASE_PATHS" | "LIST_CLAIMS"> {
  return {
    async CLAIM_PATHS(session, message) {
      const claim = await claims.claim(session.agent, message)
      session.send({ type: "CLAIMS", list: [claim] }, message.id)
    },

    async RELEASE_PATHS(session, { id, repo, paths }) {
      if (paths !== undefined && repo === undefined) {
        throw new ChatError("INVALID_MSG", "RELEASE_PATHS.repo: is missing; paths are those of a repository")
      }
      const released = await claims.release(session.agent.id, repo, paths)
      session.send({ type: "ACK", ts: clock.now(), state: "done", released }, id)
    },

    LIST_CLAIMS(session, { id, repo, follow = false }) {
      if (follow) claims.follow(session)
      session.send({ type: "CLAIMS", list: claims.list(repo) }, id)
    },
  }
}
