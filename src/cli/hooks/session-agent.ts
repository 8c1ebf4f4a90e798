import { rootPaths } from "../../daemon/files/paths.js"
import { listSessions } from "../../harness/sessions.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { type Config, type Environment, sessionVariables, socketVariable } from "../config.js"

/** Returns the agent of the session in which a command runs; undefined if it runs in none that has a record here. */
export function findSessionAgent({ home }: Config, env: Environment): InstanceName | undefined {
  const ids = sessionVariables.map((name) => env[name] ?? "")
  const { [socketVariable]: socket = "" } = env
  try {
    // Where one harness runs another, the variables of both are set, and the inner one is at work.
    return listSessions(rootPaths(home)).find(
      ({ session, door }) => ids.includes(session) || (socket !== "" && door.socket === socket),
    )?.agent
  } catch (error) {
    // Whatever uses the home next says what is wrong with it.
    if (error instanceof ChatError) return undefined
    throw error
  }
}
