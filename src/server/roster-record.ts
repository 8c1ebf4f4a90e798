import type { AgentCard, PresenceState } from "../protocol/client-messages.js"
import type { AgentId, Nick } from "../protocol/names.js"
import type { RosterEntry } from "../protocol/server-messages.js"

/** What a roster shows of an agent. Times are milliseconds since the Unix epoch. */
export interface RosterFacts {
  readonly id: AgentId
  readonly name: Nick
  /** What it says it does; `offline` when it is gone or silent. */
  readonly status: PresenceState | "offline"
  readonly activity?: string | undefined
  readonly role?: string | undefined
  /** When the status was set. */
  readonly since: number
  /** Last sign of life of its session. */
  readonly seenTs: number
  readonly readTs?: number | undefined
  readonly answeredTs?: number | undefined
  readonly card?: AgentCard | undefined
}

/** An agent that is not connected to this relay: it is away, or connected to another one. */
export interface RosterRecord extends RosterFacts {
  /** The relay it is connected to; null: it is away. */
  readonly relay: string | null
  /** Names the session that wrote this: of two, the later one has the greater text. */
  readonly epoch: string
  /** Names of the channels it is in. */
  readonly channels: readonly string[]
}

/** What stays in the roster of an agent whose session has ended. */
export function recordDeparture(agent: RosterFacts, epoch: string, now: number): RosterRecord {
  const { id, name, role, seenTs, readTs, answeredTs, card } = agent
  const facts = { id, name, role, seenTs, readTs, answeredTs, card }
  return { ...facts, status: "offline", since: now, relay: null, epoch, channels: [] }
}

/** How facts are shown. */
export interface Showing {
  readonly now: number
  /** {@link Limits.staleMs} */
  readonly staleMs: number
  readonly withCard?: boolean
}

/** The same as JOINED and AGENTS list it. */
export function formatEntry(facts: RosterFacts, { now, staleMs, withCard = false }: Showing): RosterEntry {
  const { id, name, status, activity, role, since, seenTs, readTs, answeredTs, card } = facts
  const moved = Math.max(since, readTs ?? 0, answeredTs ?? 0)
  return {
    id,
    name,
    status,
    ...(activity !== undefined && { activity }),
    ...(role !== undefined && { role }),
    since,
    seen_ts: seenTs,
    ...(readTs !== undefined && { read_ts: readTs }),
    ...(answeredTs !== undefined && { answered_ts: answeredTs }),
    ...(status === "working" && now - moved > staleMs && { stale: true }),
    ...(withCard && card !== undefined && { card }),
  }
}
