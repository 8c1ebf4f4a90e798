import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { parseServerUrl } from "../../client/server-url.js"
import type { DaemonStart } from "../../daemon/options.js"
import { inspectIdentity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import type { Channel, InstanceName, Nick } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { defaultInstance, defaultNick, instancePathsOf } from "../input/instance-choice.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { chooseServer } from "../relay/server-choice.js"

/** What the command line says about a daemon to start. */
export interface DaemonChoice {
  readonly name?: InstanceName | undefined
  readonly identity?: string | undefined
  readonly channels?: readonly Channel[] | undefined
  readonly role?: string | undefined
  /** A file. */
  readonly card?: string | undefined
  /** A file. */
  readonly guards?: string | undefined
  readonly nick?: Nick | undefined
  readonly ephemeral: boolean
  readonly echo: boolean
  readonly compat: boolean
}

/**
 * The order for a daemon, complete: it may be carried out by a process in another directory.
 * @throws {ChatError} USAGE for an address or options that do not go together; NOT_FOUND; BAD_IDENTITY;
 * what is wrong with the card
 */
export async function daemonRequest(
  context: Context,
  choice: DaemonChoice,
  url: string | undefined,
): Promise<DaemonStart> {
  const { config, system } = context
  const { name = defaultInstance, role, channels, ephemeral, echo, compat } = choice
  if (ephemeral && choice.identity !== undefined) {
    throw new ChatError("USAGE", "--ephemeral: has no identity; leave out --identity")
  }
  const server = chooseServer(config, url, name)
  parseServerUrl(server)
  const identity = choice.identity === undefined ? undefined : resolve(system.cwd, choice.identity)
  const identityFile = identity ?? instancePathsOf(config, name).identity
  const known = !ephemeral && existsSync(identityFile) ? inspectIdentity(identityFile).name : undefined
  const card =
    choice.card === undefined
      ? undefined
      : await (await import("../input/card-file.js")).readCard(resolve(system.cwd, choice.card))
  const guards = await readGuards(context, choice.guards)
  return {
    name,
    server,
    nick: choice.nick ?? known ?? (name === defaultInstance ? defaultNick(config) : name),
    ephemeral,
    echo,
    compat,
    ...omitUndefined({ identity, channels, role, card, guards }),
  }
}

async function readGuards({ system }: Context, path: string | undefined): Promise<DaemonStart["guards"]> {
  if (path === undefined) return undefined
  const { readBreakerFile } = await import("../input/breaker-file.js")
  return readBreakerFile(resolve(system.cwd, path))
}
