import { isSignedBy } from "../identity/wake-lease.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { isCurrent, type WakeLease } from "../protocol/wake.js"

/** The proof of an agent, as far as its answer says so. */
interface Proven {
  readonly wakeable?: WakeLease | undefined
}

/**
 * Removes from an answer each lease that the key of its agent did not sign for this relay, or that is over: nobody shows
 * a lease that a relay or another agent made up.
 * @param aud - `server_id` of the relay
 */
export function withProvenLeases<M extends ServerMessage>(answer: M, aud: string, now: number): M {
  const proven = <E extends Proven>(entry: E, id: string): E => {
    const { wakeable, ...others } = entry
    if (wakeable === undefined) return entry
    return isCurrent(wakeable, now) && isSignedBy(wakeable, id, aud) ? entry : (others as E)
  }
  if (answer.type === "AGENTS" || answer.type === "JOINED") {
    return { ...answer, roster: answer.roster.map((entry) => proven(entry, entry.id)) }
  }
  if (answer.type !== "ACK" || answer.target === undefined) return answer
  return { ...answer, target: proven(answer.target, answer.to ?? "") }
}
