import { readFileSync } from "node:fs"
import { writeFileAtomic } from "../base/atomic-file.js"
import type { GuardFacts, GuardUsage } from "../protocol/guard-facts.js"
import type { SaidPresence } from "./session/daemon-memory.js"

/** Where a daemon's session stands. */
export type SessionState = "connecting" | "online" | "waiting" | "stopped"

/** Something that keeps a daemon from its work; gone from the list once it is fixed. */
export interface Problem {
  /** Which part: `inbox`, `outbox`, `relay`, … */
  readonly where: string
  readonly code: string
  readonly message: string
  readonly hint?: string
  /** Milliseconds since the Unix epoch. */
  readonly since: number
}

/** Something that a guard has stopped. Times are milliseconds since the Unix epoch. */
export interface GuardStop extends Omit<GuardFacts, "evidence"> {
  readonly reason: string
  readonly since: number
  /** When it ends by itself; absent: not before somebody lifts it. */
  readonly until?: number
}

/** The content of status.json. Times are milliseconds since the Unix epoch. */
export interface DaemonStatus {
  readonly v: 1
  /** The daemon's name on this machine. */
  readonly name: string
  /** What it calls itself on the relay. */
  readonly nick: string
  readonly agent_id: string | null
  readonly server: string
  readonly server_id: string | null
  readonly state: SessionState
  readonly connected: boolean
  /** Why it waits or stopped. */
  readonly reason: { readonly code: string; readonly message: string } | null
  readonly pid: number
  readonly started: number
  readonly updated: number
  /** When the present state began. */
  readonly since: number
  readonly channels: readonly string[]
  /** Those of them that keep their messages. */
  readonly durable: readonly string[]
  /** Patterns of channels it is in. */
  readonly patterns: readonly string[]
  /** What the agent last said that it does; null when it never said. */
  readonly presence: SaidPresence | null
  /** Ids of the tasks it holds a lease of. */
  readonly tasks: readonly string[]
  /** What guards have stopped, oldest first: those of the relay, and the daemon's own breaker. */
  readonly guards: readonly GuardStop[]
  /** What the daemon's own breaker has counted. */
  readonly breaker: GuardUsage
  readonly outbox: { readonly pending: number }
  readonly inbox: { readonly seq: number; readonly lines: number; readonly held_bytes: number }
  readonly problems: readonly Problem[]
}

/** Replaces status.json as a whole. */
export function writeStatus(path: string, status: DaemonStatus): void {
  writeFileAtomic(path, `${JSON.stringify(status, null, 2)}\n`)
}

/** The last status a daemon wrote, or undefined when there is none. Whether it still runs is not said here. */
export function readStatus(path: string): DaemonStatus | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"))
    return typeof value === "object" && value !== null && "state" in value
      ? (value as DaemonStatus)
      : undefined
  } catch {
    return undefined
  }
}
