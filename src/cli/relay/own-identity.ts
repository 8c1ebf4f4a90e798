import { existsSync, readdirSync } from "node:fs"
import { type RootPaths, rootPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, InstanceName } from "../../protocol/names.js"
import type { Config } from "../config.js"

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
 * Returns the path of the user's own identity file: that of `--identity`, else that of the daemon of `--name`, else that
 * of the home directory.
 * @throws {ChatError} USAGE if both options are given; NOT_FOUND if the daemon has no identity file here
 */
export function ownIdentityFile(config: Config, { identity, name }: OwnChoice): string {
  if (identity !== undefined && name !== undefined) {
    throw new ChatError("USAGE", "--name and --identity are mutually exclusive")
  }
  const root = rootPaths(config.home)
  if (identity !== undefined) return identity
  return name === undefined ? root.identity : identityOfDaemon(root, name)
}

function identityOfDaemon(root: RootPaths, name: InstanceName): string {
  const { dir, identity } = root.instance(name)
  if (existsSync(identity)) return identity
  if (!existsSync(dir)) {
    throw new ChatError("NOT_FOUND", `--name: this directory has no daemon ${name}`, {
      hint: "see: agentchat daemon --list",
    })
  }
  throw new ChatError("NOT_FOUND", `--name: the daemon ${name} has no identity of its own`, {
    hint: "use --identity FILE if it was started with one; with --ephemeral it has none",
  })
}

/** Returns the paths of the identity files of a home directory and its daemons. Some may not exist. */
export function identityFiles(root: RootPaths): string[] {
  const names = existsSync(root.daemons) ? readdirSync(root.daemons).sort() : []
  return [...new Set([root.identity, ...names.map((name) => root.instance(name as InstanceName).identity)])]
}

/**
 * Returns the ids of the user's own identity, including those of earlier keys; none if no option is given and the home
 * directory has no identity.
 * @throws {ChatError} USAGE; NOT_FOUND or BAD_IDENTITY for the file of an option
 */
export async function ownIds(config: Config, choice: OwnChoice): Promise<ReadonlySet<AgentId>> {
  const path = ownIdentityFile(config, choice)
  if (!isNamed(choice) && !existsSync(path)) return new Set()
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  const { agentIdOfDid } = await import("../../proposals/statement.js")
  const { agent_id, rotations } = inspectIdentity(path)
  return new Set([agent_id, ...rotations.map(({ from }) => agentIdOfDid(from))])
}
