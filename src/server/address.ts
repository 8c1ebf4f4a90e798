import { closestNames } from "../base/closest-names.js"
import { ChatError } from "../protocol/errors.js"
import { type AgentId, type AgentRef, persistentIdPattern } from "../protocol/names.js"
import type { Hub } from "./hub.js"
import type { Residents } from "./residents.js"

/**
 * Finds whom `@…` means: an exact id first, then the one agent online that bears the name, then the one
 * persistent identity that bore it when it was last here, so that a name reaches an agent that reconnects.
 * @throws {ChatError} AGENT_NOT_FOUND with close names; AMBIGUOUS_NAME with the ids that bear the name
 */
export function resolveAgent(ref: AgentRef, hub: Hub, residents: Residents): AgentId {
  const id = ref as string as AgentId
  if (hub.find(id) !== undefined || residents.memoryOf(id) !== undefined) return id
  const name = ref.slice(1)
  const online = hub.named(name).map((session) => session.agent.id)
  const ids = online.length > 0 ? online : residents.named(name)
  const [first, ...others] = ids
  if (first === undefined) {
    throw new ChatError("AGENT_NOT_FOUND", `to: ${ref} is neither online nor known to this relay`, {
      candidates: persistentIdPattern.test(ref)
        ? []
        : closestNames(name, hub.names()).map((close) => `@${close}`),
    })
  }
  if (others.length > 0) {
    throw new ChatError("AMBIGUOUS_NAME", `to: ${ids.length} agents bear the name ${ref}`, {
      candidates: ids.slice(0, 10),
      hint: "use an id",
    })
  }
  return first
}
