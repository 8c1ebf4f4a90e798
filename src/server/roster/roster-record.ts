import * as v from "valibot"
import type { AgentCard } from "../../protocol/agent-card.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import type { AgentId, Nick } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"

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
  /** did:key of a persistent identity. */
  readonly did?: string | undefined
}

/** An agent that is not connected to this relay: it is away, or connected to another one. */
export interface RosterRecord extends RosterFacts {
  /** The relay it is connected to; null: it is away. */
  readonly relay: string | null
  /** Names the session that wrote this: of two, the later one has the greater text. */
  readonly epoch: string
  /** Names of the channels it is in. */
  readonly channels: readonly string[]
  /** What its relay last wrote, of an agent that is shown offline because that relay is silent; never written. */
  readonly saidBefore?: RosterRecord
}

/** What stays in the roster of an agent whose session has ended. */
export function recordDeparture(agent: RosterFacts, epoch: string, now: number): RosterRecord {
  const { id, name, role, seenTs, readTs, answeredTs, card, did } = agent
  const facts = { id, name, role, seenTs, readTs, answeredTs, card, did }
  return { ...facts, status: "offline", since: now, relay: null, epoch, channels: [] }
}

const row = v.object({
  v: v.literal(1),
  name: v.string(),
  status: v.picklist(["idle", "working", "waiting", "away", "offline"]),
  activity: v.optional(v.string()),
  role: v.optional(v.string()),
  since: v.number(),
  card: v.optional(v.record(v.string(), v.unknown())),
  did: v.optional(v.string()),
  relay: v.nullable(v.string()),
  epoch: v.string(),
  channels: v.array(v.string()),
  seen_ts: v.number(),
  read_ts: v.optional(v.number()),
  answered_ts: v.optional(v.number()),
})

/** A record as a row of the table of agents, whose key is the id without its mark. */
export function formatRecord(record: RosterRecord): string {
  const { id: _, saidBefore: __, seenTs, readTs, answeredTs, ...others } = record
  return JSON.stringify({ v: 1, ...others, seen_ts: seenTs, read_ts: readTs, answered_ts: answeredTs })
}

/** @returns undefined for a row that another version wrote */
export function parseRecord(key: string, text: string): RosterRecord | undefined {
  const parsed = v.safeParse(row, parseJson(text))
  if (!parsed.success) return undefined
  const {
    v: _,
    name,
    card,
    seen_ts: seenTs,
    read_ts: readTs,
    answered_ts: answeredTs,
    ...others
  } = parsed.output
  const id = `@${key}` as AgentId
  return {
    ...others,
    id,
    name: name as Nick,
    card: card as AgentCard | undefined,
    seenTs,
    readTs,
    answeredTs,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** How facts are shown. */
export interface Showing {
  readonly now: number
  /** {@link Limits.staleMs} */
  readonly staleMs: number
  readonly withCard?: boolean
  readonly withKey?: boolean
}

/** The same as JOINED and AGENTS list it. */
export function formatEntry(facts: RosterFacts, showing: Showing): RosterEntry {
  const { id, name, status, activity, role, since, seenTs, readTs, answeredTs } = facts
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
    ...(status === "working" && showing.now - moved > showing.staleMs && { stale: true }),
    ...detailsOf(facts, showing),
  }
}

function detailsOf({ card, did }: RosterFacts, { withCard = false, withKey = false }: Showing) {
  return {
    ...(withCard && card !== undefined && { card }),
    ...(withKey && did !== undefined && { did }),
  }
}
