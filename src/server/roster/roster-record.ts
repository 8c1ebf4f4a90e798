import { randomBytes } from "node:crypto"
import type { PresenceState } from "../../protocol/client-messages.js"
import { type AgentCard, type RotationClaim, rotations } from "../../protocol/message-fields.js"
import type { AgentId, Nick } from "../../protocol/names.js"
import {
  anyObject,
  either,
  list,
  literal,
  number,
  object,
  oneOf,
  optional,
  parseAs,
  string,
  tested,
} from "../../protocol/schema.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { type Attention, attentions, isCurrent, type WakeLease, wakeLease } from "../../protocol/wake.js"

/** The facts a roster shows of an agent. Times are milliseconds since the Unix epoch. */
export interface RosterFacts {
  readonly id: AgentId
  readonly name: Nick
  /** The status it has set; `offline` when it is disconnected or silent. */
  readonly status: PresenceState | "offline"
  readonly activity?: string | undefined
  readonly role?: string | undefined
  /** When the status was set. */
  readonly since: number
  /** When its session last sent anything. */
  readonly seenTs: number
  readonly readTs?: number | undefined
  readonly answeredTs?: number | undefined
  /** When a relay first met it. */
  readonly metTs?: number | undefined
  readonly attention?: Attention | undefined
  /** Verified, and possibly expired. */
  readonly wakeable?: WakeLease | undefined
  readonly card?: AgentCard | undefined
  /** did:key of a persistent identity. */
  readonly did?: string | undefined
  /** Ids of its earlier keys, oldest first. */
  readonly formerly?: readonly AgentId[] | undefined
  /** Proof of its earlier keys; absent in rows of earlier versions. */
  readonly rotations?: readonly RotationClaim[] | undefined
}

/** An agent that is not connected to this relay: it is disconnected, or connected to another one. */
export interface RosterRecord extends RosterFacts {
  /** The relay it is connected to; null when it is disconnected. */
  readonly relay: string | null
  /** The session that wrote this, see {@link epochAfter}. */
  readonly epoch: string
  /** The process that opened the session, if it said so. */
  readonly process?: string | undefined
  /** Names of the channels it is in. */
  readonly channels: readonly string[]
  /** The record as its relay wrote it, while the agent is shown offline because that relay is silent; never stored. */
  readonly beforeSilence?: RosterRecord
}

/** Random bytes that distinguish sessions which began at the same time. */
const epochRandomBytes = 4
/** Digits of the time in an epoch, enough for epochs to sort by time. */
const epochDigits = 15

/**
 * Returns the epoch of a new session: a text that sorts after the epochs of all earlier sessions of the identity.
 * @param now - milliseconds since the Unix epoch
 * @param earlier - the last known epoch, possibly from a relay whose clock is ahead
 */
export function epochAfter(now: number, earlier: string | undefined): string {
  const ms = earlier === undefined ? now : Math.max(now, Number(earlier.slice(0, epochDigits)) + 1)
  return `${String(ms).padStart(epochDigits, "0")}-${randomBytes(epochRandomBytes).toString("hex")}`
}

/** Returns the record of an agent whose session has ended. */
export function departedRecord(agent: RosterFacts, epoch: string, now: number): RosterRecord {
  const { id, name, role, seenTs, readTs, answeredTs, metTs, card, did, formerly, rotations, attention } =
    agent
  const keys = { did, formerly, rotations }
  const facts = { id, name, role, seenTs, readTs, answeredTs, metTs, attention, card, ...keys }
  return { ...facts, status: "offline", since: now, relay: null, epoch, channels: [] }
}

const row = object({
  v: literal(1),
  name: string,
  status: oneOf(["idle", "working", "waiting", "away", "offline"]),
  activity: optional(string),
  role: optional(string),
  since: number(),
  attention: optional(oneOf(attentions)),
  wakeable: optional(wakeLease),
  card: optional(anyObject()),
  did: optional(string),
  formerly: optional(list(string)),
  rotations: optional(rotations),
  relay: either(
    string,
    tested<null>((value) => value === null, ""),
    "must be a string or null",
  ),
  epoch: string,
  process: optional(string),
  channels: list(string),
  seen_ts: number(),
  read_ts: optional(number()),
  answered_ts: optional(number()),
  met_ts: optional(number()),
})

/** Formats a record as a row of the table of agents, whose key is the id without its `@`. */
export function formatRecord(record: RosterRecord): string {
  const { id: _, beforeSilence: __, seenTs, readTs, answeredTs, metTs, ...others } = record
  const times = { seen_ts: seenTs, read_ts: readTs, answered_ts: answeredTs, met_ts: metTs }
  return JSON.stringify({ v: 1, ...others, ...times })
}

/** Parses a row of the table of agents. @returns undefined for a row of another version */
export function parseRecord(key: string, text: string): RosterRecord | undefined {
  const read = parseAs(row, text)
  if (read === undefined) return undefined
  const { v: _, name, card, seen_ts: seenTs, read_ts: readTs, answered_ts: answeredTs, ...rest } = read
  const { met_ts: metTs = seenTs, ...others } = rest
  const id = `@${key}` as AgentId
  return {
    ...others,
    id,
    name: name as Nick,
    card,
    formerly: others.formerly as readonly AgentId[] | undefined,
    seenTs,
    readTs,
    answeredTs,
    metTs,
  }
}

/** How much an entry shows. */
export interface EntryOptions {
  readonly now: number
  /** {@link Limits.staleMs} */
  readonly staleMs: number
  readonly withCard?: boolean
  readonly withKey?: boolean
}

/** Formats facts as an entry of JOINED and AGENTS. */
export function formatEntry(facts: RosterFacts, options: EntryOptions): RosterEntry {
  const { id, name, status, activity, role, since, seenTs, readTs, answeredTs } = facts
  const lastActivityTs = Math.max(since, readTs ?? 0, answeredTs ?? 0)
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
    ...(status === "working" && options.now - lastActivityTs > options.staleMs && { stale: true }),
    ...wakeFactsOf(facts, options.now),
    ...detailsOf(facts, options),
  }
}

/** Returns what is known of waking an agent: its attention, and its lease while that is valid. */
export function wakeFactsOf(
  { status, attention = "open", wakeable }: RosterFacts,
  now: number,
): Pick<RosterEntry, "attention" | "wakeable"> {
  const isProven = status !== "offline" && wakeable !== undefined && isCurrent(wakeable, now)
  return { ...(attention !== "open" && { attention }), ...(isProven && { wakeable }) }
}

function detailsOf({ card, did }: RosterFacts, { withCard = false, withKey = false }: EntryOptions) {
  return {
    ...(withCard && card !== undefined && { card }),
    ...(withKey && did !== undefined && { did }),
  }
}
