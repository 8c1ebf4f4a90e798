import type { Clock } from "../base/clock.js"
import type { ConnectOptions } from "../client/connection.js"
import type { BreakerLimits } from "../guards/breaker.js"
import type { Identity } from "../identity/identity-file.js"
import type { ChatError } from "../protocol/errors.js"
import type { Channel, ChannelPattern, InstanceName, Nick } from "../protocol/names.js"
import type { Bookmarks } from "./session/bookmarks.js"

/** How one daemon is run. */
export interface DaemonOptions extends Pick<ConnectOptions, "role" | "card"> {
  readonly name: InstanceName
  /** WebSocket URL of the relay. */
  readonly server: string
  readonly nick: Nick
  /** Absent for an ephemeral daemon. */
  readonly identity?: Identity
  /** Channels and patterns of them to be in; absent: those of the last run, else the default ones. */
  readonly channels?: readonly (Channel | ChannelPattern)[]
  readonly defaultChannels: readonly Channel[]
  readonly compat: boolean
  /** Whether own messages also stand in the inbox, marked `"self": true`. */
  readonly echo: boolean
  /** Numbers of its own breaker that are stricter than the default ones. */
  readonly guards?: Partial<BreakerLimits>
}

/** The channels and patterns a run begins with. */
export function wantedChannels(
  { channels, defaultChannels }: Pick<DaemonOptions, "channels" | "defaultChannels">,
  last: Pick<Bookmarks, "channels" | "patterns">,
): readonly (Channel | ChannelPattern)[] {
  const remembered = [...last.channels, ...last.patterns] as (Channel | ChannelPattern)[]
  return channels ?? (remembered.length > 0 ? remembered : defaultChannels)
}

/** How its session is opened. */
export function sessionOf(options: DaemonOptions, clock: Clock): ConnectOptions {
  const { server, nick, identity, role, card, compat } = options
  return {
    url: server,
    name: nick,
    compat,
    clock,
    ...(identity === undefined ? {} : { identity }),
    ...(role === undefined ? {} : { role }),
    ...(card === undefined ? {} : { card }),
  }
}

/** What a daemon borrows from the process that hosts it. */
export interface DaemonHost {
  readonly clock: Clock
  readonly random: () => number
  readonly pid: number
  /** The daemon stopped by itself. */
  onStopped(name: InstanceName, reason: ChatError | undefined): void
}
