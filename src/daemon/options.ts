import { existsSync } from "node:fs"
import { relative } from "node:path"
import type { Clock } from "../base/clock.js"
import type { LogStyle } from "../base/log.js"
import { omitUndefined } from "../base/plain.js"
import type { Tracer } from "../base/tracer.js"
import type { ConnectOptions } from "../client/connection.js"
import type { BreakerLimits } from "../guards/breaker.js"
import type { Identity } from "../identity/identity-file.js"
import type { ChatError } from "../protocol/errors.js"
import { defaultChannels } from "../protocol/limits.js"
import type { AgentCard } from "../protocol/message-fields.js"
import {
  type Channel,
  type ChannelPattern,
  type InstanceName,
  type Nick,
  parseInstanceName,
  parseNick,
  parseSubscription,
} from "../protocol/names.js"
import { ensureHome } from "./files/home.js"
import type { RootPaths } from "./files/paths.js"
import type { Bookmarks } from "./session/bookmarks.js"
import type { SessionDoors } from "./wake/session-doors.js"

/** A request to start a daemon, as it crosses process boundaries: plain JSON without secrets. */
export interface DaemonStart {
  readonly name: string
  /** WebSocket URL of the relay. */
  readonly server: string
  readonly nick: string
  /** Identity file; absent for the daemon's own. It is created if it does not exist. */
  readonly identity?: string
  readonly ephemeral: boolean
  /** Channel names and patterns. */
  readonly channels?: readonly string[]
  readonly role?: string
  readonly card?: AgentCard
  readonly compat: boolean
  /** True to show the agent's own messages in the inbox too, with `"self": true`. */
  readonly echo: boolean
  /** True to accept a deal only once a person has approved it. */
  readonly approve_deals?: boolean
  /** Breaker limits that are stricter than the defaults. */
  readonly guards?: Partial<BreakerLimits>
  /** A shell command that gets each new line. */
  readonly on_message?: string
  /** An address that each new line is sent to. */
  readonly webhook?: string
  /** True to show a notice on the desktop when something needs the agent. */
  readonly notify?: boolean
  /** How daemon.log is written. */
  readonly log?: LogStyle
}

/** Options of one daemon: a {@link DaemonStart} whose names are checked and whose identity is loaded. */
export interface DaemonOptions
  extends Pick<
    DaemonStart,
    | "server"
    | "role"
    | "card"
    | "compat"
    | "echo"
    | "approve_deals"
    | "guards"
    | "log"
    | "on_message"
    | "webhook"
    | "notify"
  > {
  readonly name: InstanceName
  readonly nick: Nick
  /** Absent for an ephemeral daemon. */
  readonly identity?: Identity
  /** Identity file for the next start, absolute or relative to the home directory; absent for the daemon's own. */
  readonly identityFile?: string
  /** Channels and patterns to join; absent: those of the last run, or else the default ones. */
  readonly channels?: readonly (Channel | ChannelPattern)[]
  readonly defaultChannels: readonly Channel[]
}

/** The process that hosts a daemon. */
export interface DaemonHost {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly pid: number
  /** @throws {ChatError} if another directory, or none, is at the path of the daemon's */
  requireHome(): void
  /** Finds the sessions of coding harnesses that can be woken; absent if none can. */
  readonly findSession?: (name: InstanceName) => Promise<SessionDoors | undefined>
  /** Absent if nothing is traced. */
  readonly tracer?: Tracer
  /** Called when the daemon stopped because of an error that no retry fixes. */
  onStopped(name: InstanceName, reason: ChatError): void
}

/**
 * Checks every name and loads the identity, or creates it.
 * @throws {ChatError} INVALID_NAME, BAD_IDENTITY, NOT_FOUND
 */
export async function prepareStart(root: RootPaths, start: DaemonStart): Promise<DaemonOptions> {
  const { ephemeral, identity: _path, channels: names, ...rest } = start
  const name = parseInstanceName(start.name)
  const nick = parseNick(start.nick)
  const channels = names?.map(parseSubscription)
  ensureHome(root)
  const identity = ephemeral ? undefined : await loadIdentity(root, start)
  return {
    ...rest,
    name,
    nick,
    defaultChannels: defaultChannels as readonly string[] as readonly Channel[],
    ...omitUndefined({ identity, channels, identityFile: shortPath(root, start.identity) }),
  }
}

/** Makes the path of a file of this project relative to the home directory, so that it holds after the project moves. */
function shortPath({ root }: RootPaths, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  const short = relative(root, path)
  return short.startsWith("../..") ? path : short
}

async function loadIdentity(root: RootPaths, start: DaemonStart): Promise<Identity> {
  const { createIdentity, readIdentity } = await import("../identity/identity-file.js")
  const path = start.identity ?? root.instance(parseInstanceName(start.name)).identity
  return existsSync(path) ? readIdentity(path) : createIdentity(path)
}

/** Returns the channels and patterns to join first: those asked for, those of the last run, or the default ones. */
export function initialChannels(
  { channels, defaultChannels }: Pick<DaemonOptions, "channels" | "defaultChannels">,
  last: Pick<Bookmarks, "channels" | "patterns" | "isNew">,
): readonly (Channel | ChannelPattern)[] {
  const remembered = [...last.channels, ...last.patterns] as (Channel | ChannelPattern)[]
  return channels ?? (last.isNew ? defaultChannels : remembered)
}

/** Returns the options of the daemon's connections. */
export function connectOptionsOf(options: DaemonOptions, clock: Clock): ConnectOptions {
  const { server, nick, identity, role, card, compat } = options
  return {
    url: server,
    name: nick,
    compat,
    clock,
    confirmsNotices: true,
    ...omitUndefined({ identity, role, card }),
  }
}
