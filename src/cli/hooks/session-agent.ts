import { rootPaths } from "../../daemon/files/paths.js"
import { sessionsAbove } from "../../harness/ancestors.js"
import { listSessions, type SessionRecord } from "../../harness/sessions.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Environment } from "../config.js"
import type { Context } from "../context.js"

/** Variables with the id of a session; `agentchat hook` sets the first. */
const idVariables = ["AGENTCHAT_SESSION", "CODEX_THREAD_ID", "GEMINI_SESSION_ID"]

/**
 * Returns the agent of the session of a coding harness in which a command runs: that of the harness above its process, or
 * that which the environment names. Undefined if there is none, or if several sessions share a process and the
 * environment names none.
 */
export function findSessionAgent({
  config,
  env,
  system,
}: Pick<Context, "config" | "env" | "system">): InstanceName | undefined {
  const records = liveSessions(config.home)
  const above = sessionsAbove(records, system.parentPid())
  const agents = new Set(above.map(({ agent }) => agent))
  const [only] = agents
  if (agents.size === 1) return only
  return sessionIn(env, above.length > 0 ? above : records)?.agent
}

function liveSessions(home: string): SessionRecord[] {
  try {
    return listSessions(rootPaths(home)).filter(({ state }) => state !== "ended")
  } catch (error) {
    // The next user of the home says why it cannot be used.
    if (error instanceof ChatError) return []
    throw error
  }
}

/** Where one harness runs another, the variables of both are set, and the inner one, which comes first, is at work. */
function sessionIn(env: Environment, records: readonly SessionRecord[]): SessionRecord | undefined {
  const ids = idVariables.map((name) => env[name] ?? "")
  const { CLAUDE_CODE_MESSAGING_SOCKET: socket = "" } = env
  return records.find(
    ({ session, door }) => ids.includes(session) || (socket !== "" && door.socket === socket),
  )
}
