import { closestNames } from "../../base/closest-names.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentId, type AgentRef, persistentIdPattern } from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"

/** Ids told of when a name is ambiguous. */
const candidateIds = 10

/**
 * Finds whom `@…` means: an exact id first, then the one agent with a session that bears the name, then the one
 * persistent identity that bore it when it was last here, so that a name reaches an agent that reconnects.
 * @param field - of the frame, for the error
 * @throws {ChatError} AGENT_NOT_FOUND with close names; AMBIGUOUS_NAME with the ids that bear the name
 */
export function resolveAgent(ref: AgentRef, roster: Roster, field = "to"): AgentId {
  const known = roster.find(ref)
  if (known !== undefined) return known.id
  const name = ref.slice(1)
  const live = roster.onlineNamed(name)
  const ids = live.length > 0 ? live : roster.offlineNamed(name)
  const [first, ...others] = ids
  if (first === undefined) {
    throw new ChatError("AGENT_NOT_FOUND", `${field}: ${ref} is neither online nor known to this relay`, {
      candidates: persistentIdPattern.test(ref)
        ? []
        : closestNames(name, roster.names()).map((close) => `@${close}`),
    })
  }
  if (others.length > 0) {
    throw new ChatError("AMBIGUOUS_NAME", `${field}: ${ids.length} agents bear the name ${ref}`, {
      candidates: ids.slice(0, candidateIds),
      hint: "use an id",
    })
  }
  return first
}
