import { existsSync, readdirSync } from "node:fs"
import { type RootPaths, rootPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, InstanceName } from "../../protocol/names.js"
import type { Config } from "../config.js"

/** Who is asking: values of `--identity` and `--name`. */
export interface OwnChoice {
  readonly identity: string | undefined
  readonly name: InstanceName | undefined
}

/** Whether somebody in particular was named. */
export function isNamed({ identity, name }: OwnChoice): boolean {
  return identity !== undefined || name !== undefined
}

/**
 * The file of one's own identity: the one that is named, that of the daemon that is named, that of the home.
 * @throws {ChatError} USAGE when two are named; NOT_FOUND for a daemon that has none of its own here
 */
export function ownIdentityFile(config: Config, { identity, name }: OwnChoice): string {
  if (identity !== undefined && name !== undefined) {
    throw new ChatError("USAGE", "--name: --identity names one already", { hint: "leave out one of them" })
  }
  const root = rootPaths(config.home)
  if (identity !== undefined) return identity
  return name === undefined ? root.identity : identityOfDaemon(root, name)
}

function identityOfDaemon(root: RootPaths, name: InstanceName): string {
  const { dir, identity } = root.instance(name)
  if (existsSync(identity)) return identity
  if (!existsSync(dir)) {
    throw new ChatError("NOT_FOUND", `--name: ${name} is no daemon of this directory`, {
      hint: "see: agentchat daemon --list",
    })
  }
  throw new ChatError("NOT_FOUND", `--name: the daemon ${name} has no identity of its own`, {
    hint: "say --identity FILE if it was started with one; with --ephemeral it has none",
  })
}

/** Where identities of a home stand: its own, and those of its daemons by name. Not every file is there. */
export function identityFiles(root: RootPaths): string[] {
  const names = existsSync(root.daemons) ? readdirSync(root.daemons).sort() : []
  return [...new Set([root.identity, ...names.map((name) => root.instance(name as InstanceName).identity)])]
}

/**
 * Ids that are one's own, also those of earlier keys; none when the home has no identity and nobody is named.
 * @throws {ChatError} USAGE; NOT_FOUND or BAD_IDENTITY for a file that was named
 */
export async function ownIds(config: Config, choice: OwnChoice): Promise<ReadonlySet<AgentId>> {
  const path = ownIdentityFile(config, choice)
  if (!isNamed(choice) && !existsSync(path)) return new Set()
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  const { agentIdOfDid } = await import("../../proposals/statement.js")
  const { agent_id, rotations } = inspectIdentity(path)
  return new Set([agent_id, ...rotations.map(({ from }) => agentIdOfDid(from))])
}
