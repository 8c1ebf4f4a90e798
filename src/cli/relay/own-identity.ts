import { existsSync } from "node:fs"
import { instanceNames, type RootPaths } from "../../daemon/files/paths.js"
import { identityFileOf } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, InstanceName } from "../../protocol/names.js"
import { chooseInstance, eligibleInstances, type Place } from "../daemon/daemon-choice.js"

/** Values of `--identity` and `--name`, which select the user's own identity. */
export interface OwnChoice {
  readonly identity: string | undefined
  readonly name: InstanceName | undefined
}

/** Tests whether one of the options was given. */
export function isNamed({ identity, name }: OwnChoice): boolean {
  return identity !== undefined || name !== undefined
}

/**
 * Returns the path of the user's own identity file: that of `--identity`, else that of the daemon that
 * {@link chooseInstance} returns. Without an option it need not exist.
 * @throws {ChatError} USAGE if both options are given; NOT_FOUND if the daemon of `--name` has no identity file; as
 * {@link chooseInstance}
 */
export function ownIdentityFile(context: Place, { identity, name }: OwnChoice): string {
  if (identity !== undefined && name !== undefined) {
    throw new ChatError("USAGE", "--name and --identity are mutually exclusive")
  }
  if (identity !== undefined) return identity
  const path = identityFileOf(chooseInstance(context, name))
  if (name === undefined || existsSync(path)) return path
  throw new ChatError("NOT_FOUND", `--name: the daemon ${name} has no identity of its own`, {
    hint: "with --ephemeral it has none; another one: --identity FILE",
  })
}

/** Returns the paths of the identity files of a home directory and its daemons. Some may not exist. */
export function identityFiles(root: RootPaths): string[] {
  const ofDaemons = instanceNames(root).map((name) => identityFileOf(root.instance(name)))
  return [...new Set([root.identity, ...ofDaemons])]
}

/**
 * Returns the ids of the user's own identity, including those of earlier keys; none if no option is given and the
 * directory has no identity, or several daemons.
 * @throws {ChatError} USAGE; NOT_FOUND or BAD_IDENTITY for the file of an option
 */
export async function ownIds(context: Place, choice: OwnChoice): Promise<ReadonlySet<AgentId>> {
  const isUnknown = !isNamed(choice) && context.config.name === undefined
  if (isUnknown && eligibleInstances(context).length > 1) return new Set()
  const path = ownIdentityFile(context, choice)
  if (!isNamed(choice) && !existsSync(path)) return new Set()
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  const { agentIdOfDid } = await import("../../proposals/statement.js")
  const { agent_id, rotations } = inspectIdentity(path)
  return new Set([agent_id, ...rotations.map(({ from }) => agentIdOfDid(from))])
}
