/** Looks up whether any agent can take the tasks of a role, because a task for a mistyped role waits unnoticed. */
import { closestNames } from "../../base/closest-names.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"

/** Members of `--json` for a task whose role no agent has now. */
export interface UnservedRole {
  readonly unserved: true
  /** Similar roles that agents have. */
  readonly candidates?: readonly string[]
}

/**
 * Reports a role that no other agent has now.
 * @param request - sends LIST_AGENTS and returns AGENTS
 * @param self - own agent id, which never gets its own tasks
 * @returns undefined if an agent has it, if `to` is no role, or if the relay does not say
 */
export async function findUnserved(
  to: Address,
  request: (
    frame: ClientFrame<"LIST_AGENTS">,
  ) => Promise<{ readonly list?: unknown; readonly roster?: unknown }>,
  self: string | null | undefined,
): Promise<UnservedRole | undefined> {
  if (!to.startsWith("+")) return undefined
  try {
    const { list, roster } = await request({ type: "LIST_AGENTS", all: true })
    if (!Array.isArray(list) || !Array.isArray(roster)) return undefined
    return unservedIn(
      to,
      list.length,
      (roster as RosterEntry[]).filter(({ id }) => id !== self),
    )
  } catch (error) {
    // The task is accepted: a failed look-up must not make its sender believe otherwise.
    if (error instanceof ChatError) return undefined
    throw error
  }
}

/** @param online - agents online; more than entries are listed if the relay shortened them */
function unservedIn(to: Address, online: number, entries: readonly RosterEntry[]): UnservedRole | undefined {
  const wanted = to.slice(1).toLowerCase()
  const isServed = entries.some(({ role, status }) => role?.toLowerCase() === wanted && status !== "offline")
  if (isServed || online > entries.length + 1) return undefined
  const roles = new Set(entries.flatMap(({ role }) => role?.toLowerCase() ?? []))
  roles.delete(wanted)
  const candidates = closestNames(wanted, roles).map((role) => `+${role}`)
  return { unserved: true, ...(candidates.length > 0 && { candidates }) }
}

/** Returns the remark about a task of such a role. */
export function describeUnserved(to: Address, { candidates = [] }: UnservedRole): string {
  const hint = candidates.length === 0 ? "" : `; did you mean ${candidates.join(" or ")}?`
  return formatForTerminal(`no agent online has the role ${to}, so the task waits for one${hint}`)
}
