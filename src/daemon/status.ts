import { dirname, resolve } from "node:path"
import { readIfExists } from "../base/files.js"
import { isPlain } from "../base/plain.js"
import type { SessionState } from "../client/session.js"
import type { GuardFacts, GuardUsage } from "../protocol/guard-facts.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { DaemonPaths } from "./files/paths.js"
import type { OutboxWait } from "./outbox/limits.js"
import type { StoredPresence } from "./session/daemon-memory.js"
import type { WakeStatus } from "./wake/wake-status.js"

/** A problem that keeps a part of the daemon from working; removed from the list once it is fixed. */
export interface Problem {
  /** The part: `inbox`, `outbox`, `relay`, … */
  readonly where: string
  readonly code: string
  readonly message: string
  readonly hint?: string
  /** Milliseconds since the Unix epoch. */
  readonly since: number
}

/** Something that a guard stopped. Times are milliseconds since the Unix epoch. */
export interface GuardStop extends Omit<GuardFacts, "evidence"> {
  readonly reason: string
  readonly since: number
  /** When the stop ends; absent if it lasts until somebody lifts it. */
  readonly until?: number
}

/** The state of an outbox. */
export interface OutboxStatus {
  /** Lines that are read and not yet sent. */
  readonly pending: number
  /** Bytes behind those lines. */
  readonly unread_bytes: number
  readonly waits: readonly OutboxWait[]
}

/** Content of status.json. Times are milliseconds since the Unix epoch. */
export interface DaemonStatus {
  readonly v: 1
  /** Name of the daemon on this machine. */
  readonly name: string
  /** Name of the agent on the relay. */
  readonly nick: string
  readonly agent_id: string | null
  readonly server: string
  /** Identity file of `--identity`, absolute or relative to the home directory; null for the daemon's own. */
  readonly identity: string | null
  /** True if it also accepts a relay of the first AgentChat. */
  readonly compat: boolean
  readonly server_id: string | null
  /** True if the agent was an operator of the relay when it connected; null without a connection. */
  readonly operator: boolean | null
  /** The rights of its grants in a closed relay; null in an open one, for operators and without a connection. */
  readonly rights: ServerMessage<"WELCOME">["rights"] | null
  readonly state: SessionState
  readonly connected: boolean
  /** Why the session is waiting or stopped. */
  readonly reason: { readonly code: string; readonly message: string; readonly hint?: string } | null
  readonly pid: number
  readonly started: number
  readonly updated: number
  /** When the current state began. */
  readonly since: number
  readonly channels: readonly string[]
  /** The durable ones among the channels. */
  readonly durable: readonly string[]
  /** Channel patterns the daemon joined. */
  readonly patterns: readonly string[]
  /** The presence the agent set last; null if it never set one. */
  readonly presence: StoredPresence | null
  /** Ids of the tasks it holds a lease of. */
  readonly tasks: readonly string[]
  /** Active stops of the relay's guards and of the daemon's own breaker, oldest first. */
  readonly guards: readonly GuardStop[]
  /** Usage of the daemon's own breaker. */
  readonly breaker: GuardUsage
  readonly wake: WakeStatus
  readonly outbox: OutboxStatus
  readonly inbox: { readonly seq: number; readonly lines: number; readonly held_bytes: number }
  readonly problems: readonly Problem[]
}

/** Reads the last status a daemon wrote; undefined if there is none. The daemon may have crashed since. */
export function readStatus(path: string): DaemonStatus | undefined {
  try {
    const value: unknown = JSON.parse(readIfExists(path) ?? "")
    return isPlain(value) && "state" in value ? (value as unknown as DaemonStatus) : undefined
  } catch {
    return undefined
  }
}

/** Returns the path of a daemon's identity file: that of its last `--identity`, else its own. It may not exist. */
export function identityFileOf({ status, identity, receipts }: DaemonPaths): string {
  const last = readStatus(status)?.identity
  return typeof last === "string" ? resolve(dirname(receipts), last) : identity
}
