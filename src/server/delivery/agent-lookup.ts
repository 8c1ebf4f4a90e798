import { closestNames } from "../../base/closest-names.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentId, type AgentRef, persistentIdPattern } from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"

/** Ids listed when a name is ambiguous. */
const candidateIds = 10

/**
 * Returns the agents that `name` may mean: those that are online, or else those that had the name when they were
 * last online, so that a name still reaches an agent that is reconnecting. Case is ignored.
 */
function agentsNamed(name: string, roster: Roster, isCandidate: (id: AgentId) => boolean): AgentId[] {
  const online = roster.onlineNamed(name).filter(isCandidate)
  return online.length > 0 ? online : roster.offlineNamed(name).filter(isCandidate)
}

/**
 * Returns the agent that `@…` means: the one that has or had that id, or else the only one with that name. An id with a key need
 * not be known: its agent may not have connected yet, or not again since this relay began with an empty memory.
 * @param field - of the frame, for the error
 * @throws {ChatError} AGENT_NOT_FOUND with similar names; AMBIGUOUS_NAME with the ids that have the name
 */
export function resolveAgent(ref: AgentRef, roster: Roster, field = "to"): AgentId {
  if (persistentIdPattern.test(ref)) return roster.currentId(ref as string as AgentId)
  const known = roster.find(ref)
  if (known !== undefined) return known.id
  const name = ref.slice(1)
  const ids = agentsNamed(name, roster, () => true)
  const [first, ...others] = ids
  if (first === undefined) {
    throw new ChatError("AGENT_NOT_FOUND", `${field}: ${ref} is neither online nor known to this relay`, {
      candidates: () => closestNames(name, roster.names()).map((close) => `@${close}`),
    })
  }
  if (others.length > 0) {
    throw new ChatError("AMBIGUOUS_NAME", `${field}: ${ids.length} agents have the name ${ref}`, {
      candidates: ids.slice(0, candidateIds),
      hint: "use an id",
    })
  }
  return first
}

/** Returns the member with the id `@word`, or else the only member with the name `word`; undefined if there is none. */
export function findMember(
  word: string,
  roster: Roster,
  isMember: (id: AgentId) => boolean,
): AgentId | undefined {
  const id = `@${word.toLowerCase()}` as AgentId
  if (isMember(id)) return id
  const ids = agentsNamed(word, roster, isMember)
  return ids.length === 1 ? ids[0] : undefined
}
