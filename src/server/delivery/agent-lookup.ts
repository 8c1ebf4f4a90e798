import { closestNames } from "../../base/closest-names.js"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import type { RotationClaim } from "../../protocol/message-fields.js"
import {
  type AgentId,
  type AgentRef,
  agentIdIn,
  hintForOtherBearer,
  persistentIdPattern,
} from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"

/** Milliseconds after its last sign of life for which a name still means the agent with a key that has it. */
const reservedMs = 30 * 86_400_000
/** Ids listed when a name is ambiguous. */
const candidateIds = 10

/**
 * Returns the agents that `name` may mean: those with a key that have it or had it in the last 30 days, or else those
 * that are online, or else those that had the name when they were last online. A key thus keeps its name while it is
 * away: whoever else takes the name gets nothing that was meant for it. Case is ignored.
 */
function agentsNamed(name: string, roster: Roster, isCandidate: (id: AgentId) => boolean): AgentId[] {
  const online = roster.onlineNamed(name).filter(isCandidate)
  const reserved = [...online, ...roster.awayNamed(name, reservedMs).filter(isCandidate)].filter(hasKey)
  if (reserved.length > 0) return reserved
  return online.length > 0 ? online : roster.awayNamed(name).filter(isCandidate)
}

function hasKey(id: AgentId): boolean {
  return persistentIdPattern.test(id)
}

/**
 * Returns the agent that `@…` means. A reference of the form of an id means that id or nobody; any other means the only
 * agent with that name. An id with a key need not be known: its agent may not have connected yet, or not again since
 * this relay began with an empty memory.
 * @param field - of the frame, for the error
 * @param meant - the agent that the sender meant by the name before
 * @throws {ChatError} AGENT_NOT_FOUND, for a name with similar ones, or if its key was revoked; AMBIGUOUS_NAME with the ids that have the name
 */
export function resolveAgent(ref: AgentRef, roster: Roster, field = "to", meant?: AgentId): AgentId {
  const id = agentIdIn(ref)
  if (id !== undefined) {
    if (persistentIdPattern.test(id)) return requireLive(roster.currentId(id), roster, field)
    if (roster.find(id) !== undefined) return id
    throw notFound(ref, field)
  }
  const name = ref.slice(1)
  const ids = agentsNamed(name, roster, () => true)
  const [first, ...others] = ids
  if (first === undefined) {
    throw notFound(ref, field, () => closestNames(name, roster.names()).map((close) => `@${close}`))
  }
  const before = meant && roster.currentId(meant.toLowerCase() as AgentId)
  if (before !== undefined && !ids.includes(before)) {
    const message = `${field}: ${ref} meant ${before} before, and means ${first} now`
    throw ambiguous(message, [before, ...ids], hintForOtherBearer(ref, before, first))
  }
  if (before === undefined && others.length > 0) {
    throw ambiguous(`${field}: ${ids.length} agents have the name ${ref}`, ids)
  }
  return before ?? first
}

function requireLive(id: AgentId, roster: Roster, field: string): AgentId {
  if (roster.isHidden(id)) throw notFound(id as string as AgentRef, field)
  if (!roster.isRevoked(id)) return id
  throw new ChatError("AGENT_NOT_FOUND", `${field}: ${id} has ended: its key was revoked`)
}

function ambiguous(message: string, ids: readonly AgentId[], hint = "use an id"): ChatError {
  return new ChatError("AMBIGUOUS_NAME", message, { candidates: ids.slice(0, candidateIds), hint })
}

function notFound(ref: AgentRef, field: string, candidates?: () => readonly string[]): ChatError {
  const message = `${field}: ${ref} is neither online nor known to this relay`
  return new ChatError("AGENT_NOT_FOUND", message, omitUndefined({ candidates }))
}

/** Returns the proof that the agent `id` is the one that an earlier id named; {} if `ref` did not name another id. */
export function successionTo(
  id: string,
  ref: string | undefined,
  roster: Roster,
): { rotations?: readonly RotationClaim[] } {
  const named = ref === undefined ? undefined : agentIdIn(ref)
  if (named === undefined || named === id) return {}
  return omitUndefined({ rotations: roster.find(id)?.rotations })
}

/** Returns the member with the id `@word`, or else the only member with the name `word`; undefined if there is none. */
export function findMember(
  word: string,
  roster: Roster,
  isMember: (id: AgentId) => boolean,
): AgentId | undefined {
  const id = agentIdIn(`@${word}`)
  if (id !== undefined) return isMember(id) ? id : undefined
  const ids = agentsNamed(word, roster, isMember)
  return ids.length === 1 ? ids[0] : undefined
}
