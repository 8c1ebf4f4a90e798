import { existsSync } from "node:fs"
import type { BreakerLimits } from "../../guards/breaker.js"
import type { AgentCard } from "../../protocol/agent-card.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultChannels } from "../../protocol/limits.js"
import { type Channel, parseInstanceName, parseNick, parseSubscription } from "../../protocol/names.js"
import { ensureHome } from "../files/home.js"
import type { RootPaths } from "../files/paths.js"
import type { DaemonOptions } from "../options.js"

/** A daemon to start, as it crosses process boundaries: plain JSON, no secret in it. */
export interface DaemonStart {
  readonly name: string
  readonly server: string
  readonly nick: string
  /** Identity file; absent for the daemon's own one, made on first start. */
  readonly identity?: string
  readonly ephemeral: boolean
  /** Names and patterns. */
  readonly channels?: readonly string[]
  readonly role?: string
  readonly card?: AgentCard
  readonly compat: boolean
  readonly echo: boolean
  /** Stricter numbers of its own breaker. */
  readonly guards?: Partial<BreakerLimits>
}

/**
 * Checks every name and loads or makes the identity.
 * @throws {ChatError} INVALID_NAME, BAD_IDENTITY, NOT_FOUND
 */
export async function prepareStart(root: RootPaths, start: DaemonStart): Promise<DaemonOptions> {
  const name = parseInstanceName(start.name)
  const channels = start.channels?.map(parseSubscription)
  const nick = parseNick(start.nick)
  ensureHome(root)
  const identity = start.ephemeral ? undefined : await loadIdentity(root, start)
  return {
    name,
    server: start.server,
    nick,
    defaultChannels: defaultChannels as readonly string[] as readonly Channel[],
    compat: start.compat,
    echo: start.echo,
    ...(identity === undefined ? {} : { identity }),
    ...(channels === undefined ? {} : { channels }),
    ...(start.role === undefined ? {} : { role: start.role }),
    ...(start.guards === undefined ? {} : { guards: start.guards }),
    ...(start.card === undefined ? {} : { card: start.card }),
  }
}

async function loadIdentity(root: RootPaths, start: DaemonStart) {
  const { createIdentity, readIdentity } = await import("../../identity/identity-file.js")
  if (start.identity !== undefined) {
    if (existsSync(start.identity)) return readIdentity(start.identity)
    throw new ChatError("NOT_FOUND", `identity: ${start.identity} does not exist`, {
      hint: `make it first: agentchat identity --generate --identity ${start.identity}`,
    })
  }
  const path = root.instance(parseInstanceName(start.name)).identity
  return existsSync(path) ? readIdentity(path) : createIdentity(path)
}
