/** Gives the agent of a new key what belongs to its earlier ids. */
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import type { Operators } from "../operators.js"
import type { Services } from "../services.js"

type TakeOverServices = Pick<
  Services,
  "roster" | "sessions" | "rosterSync" | "mailboxes" | "channels" | "tasks"
>

/**
 * Ends the sessions of earlier ids and forgets their names, so that a name still means one agent. From now on, messages
 * to them go to the new id, which is an operator if one of them was.
 * @param ids - of an agent's keys, oldest first; each rotation is verified
 * @returns false if another key has replaced one of them before: its owner may have lost the key
 */
export function replaceIds(
  ids: readonly AgentId[],
  { roster, sessions, rosterSync }: TakeOverServices,
  operators: Operators,
): boolean {
  if (!roster.noteSuccession(ids)) return false
  for (const [index, id] of ids.entries()) {
    const next = ids[index + 1]
    if (next === undefined) break
    sessions.find(id)?.displace()
    rosterSync.forget(id)
    operators.succeed(id, next)
  }
  return true
}

/** Moves the mail, the tasks and the invitations of earlier ids to the new one. Failures are logged; the next session tries again. */
export async function moveBelongings(
  ids: readonly AgentId[],
  { mailboxes, channels, tasks }: TakeOverServices,
  log: (line: string) => void,
): Promise<void> {
  const newest = ids.at(-1)
  if (newest === undefined) return
  for (const id of ids.slice(0, -1)) {
    try {
      await tasks.passOn(id, newest)
      await channels.passInvitations(id, newest)
      await mailboxes.move(id, newest)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      log(`${newest} has not taken over all of ${id}: ${error.message}`)
    }
  }
}
