import type { AgentCard } from "./agent-card.js"
import type { GuardFacts, GuardUsage } from "./guard-facts.js"
import type { Statement } from "./statements.js"
import type { Verb } from "./verbs.js"

/** An agent as JOINED and AGENTS list it. Times are milliseconds since the Unix epoch. */
export interface RosterEntry {
  readonly id: string
  readonly name: string
  /** What it says it does; `offline` when its session is gone or has been silent for 6 s. */
  readonly status: string
  readonly activity?: string
  readonly role?: string
  /** When the status was set. */
  readonly since?: number
  /** Its daemon gave the last sign of life. */
  readonly seen_ts?: number
  /** A reader last took something out of its inbox. */
  readonly read_ts?: number
  /** It last said something. */
  readonly answered_ts?: number
  /** It says `working`, and has neither read, said nor changed anything for two minutes. */
  readonly stale?: boolean
  readonly card?: AgentCard
  /** did:key of a persistent identity, where one agent is asked for: `id` is its fingerprint. */
  readonly did?: string
}

/** What a channel tells a newcomer; absent where nobody said anything. */
export interface ChannelSettings {
  readonly description?: string
  readonly instructions?: string
  /** Whether newcomers get what was said before; absent: as the relay's default says. */
  readonly replay?: boolean
  /** How far back that goes, such as `24h`. */
  readonly window?: string
}

/** What a relay tells a client of its own bounds, so that it can pace itself. */
export interface WelcomeLimits {
  /** Largest frame, in bytes. */
  readonly frame_bytes: number
  /** Messages per second. */
  readonly rate_per_s: number
  /** Messages at once after a pause. */
  readonly burst: number
  /** Bytes of a frame that count as one more message; absent: a message counts once, however long it is. */
  readonly rate_bytes?: number
  /** Messages replayed to a newcomer. */
  readonly buffer: number
}

/** One channel as CHANNELS lists it. */
export interface ChannelEntry {
  readonly name: string
  readonly agents: number
  readonly invite_only: boolean
  readonly durable?: boolean
  readonly settings?: ChannelSettings
}

/**
 * Rungs a relay reports after `accepted`: on the recipient's disk, taken by one of its readers; for a task:
 * taken by a worker, given up after too many tries.
 */
export const deliveryStates = ["mirrored", "retrieved", "claimed", "failed"] as const
/** One of {@link deliveryStates}. */
export type DeliveryState = (typeof deliveryStates)[number]

/** States of a deal; which step leads where stands in `doc/protocol.md`. */
export const dealStates = ["pending", "accepted", "rejected", "expired", "completed", "disputed"] as const
/** One of {@link dealStates}. */
export type DealState = (typeof dealStates)[number]

/** A deal as PROPOSALS lists it. */
export interface ProposalEntry {
  readonly id: string
  readonly state: DealState
  /** Its signed statements, each the answer to the one before. */
  readonly statements: readonly Statement[]
  /** What its parties were called when they last said something in it, by agent id. */
  readonly names: Readonly<Record<string, string>>
}

/** A signed statement on its way to both parties: its own members, and these. */
interface Relayed {
  re?: string
  /** What the relay confirms it by. */
  msg_id: string
  /** What `from` calls itself. */
  name: string
  /** Of the deal, after this statement. */
  state: DealState
}

type RelayedStatement<V extends Verb> = Relayed & Omit<Statement<V>, "type">

/** Fields of each message a relay sends; `ts` is milliseconds since the Unix epoch, `re` the id of the frame answered. */
export interface ServerBodies {
  WELCOME: {
    re?: string
    agent_id: string
    name: string
    server: string
    server_id: string
    protocol: number
    limits: WelcomeLimits
    ts: number
  }
  CHALLENGE: { re?: string; challenge_id: string; nonce: string; aud: string; expires_ms: number }
  JOINED: {
    re?: string
    channel: string
    agents: readonly string[]
    roster: readonly RosterEntry[]
    count: number
    seq: number
    invite_only: boolean
    durable?: boolean
    settings?: ChannelSettings
    /** The pattern that brought this channel; for the answer to a pattern itself, the pattern. */
    pattern?: string
  }
  LEFT: { re?: string; channel: string }
  MSG: {
    from: string
    name: string
    to: string
    content: string
    parts?: readonly unknown[]
    ts: number
    msg_id: string
    hops: number
    seq?: number
    replay?: boolean
    in_reply_to?: string
    kind?: string
    mentions?: readonly string[]
    sig?: string
  }
  ACK: {
    re?: string
    ts: number
    state: "accepted" | "done"
    msg_id?: string
    seq?: number
    recipients?: number
    /** Whom the name in `to` meant. */
    to?: string
    member?: boolean
    duplicate?: boolean
  }
  CHANNELS: { re?: string; list: readonly ChannelEntry[]; defaults?: ChannelSettings }
  CHANNEL_CHANGED: { channel: string; by: string; settings: ChannelSettings; ts: number }
  TASK: {
    re?: string
    task: string
    role: string
    from: string
    name: string
    content: string
    parts?: readonly unknown[]
    lease_ms: number
    attempt: number
    ts: number
  }
  TASK_LOST: { task: string; reason: string; ts: number }
  PENDING: {
    re?: string
    target: string
    count: number
    ids: readonly string[]
    oldest_ts?: number
    claimed?: number
  }
  AGENTS: { re?: string; channel?: string; list: readonly string[]; roster: readonly RosterEntry[] }
  AGENT_JOINED: {
    channel: string
    agent: string
    name: string
    ts: number
    agents?: readonly { id: string; name: string }[]
  }
  AGENT_LEFT: {
    channel: string
    agent: string
    name: string
    ts: number
    agents?: readonly { id: string; name: string }[]
  }
  PRESENCE_CHANGED: {
    agent: string
    name: string
    status: string
    activity?: string
    role?: string
    ts: number
  }
  INVITE: { channel: string; from: string; name: string; ts: number }
  DELIVERY: { msg_id: string; state: DeliveryState; by: string; ts: number; reason?: string }
  PROPOSAL: RelayedStatement<"PROPOSAL">
  ACCEPT: RelayedStatement<"ACCEPT">
  REJECT: RelayedStatement<"REJECT">
  COMPLETE: RelayedStatement<"COMPLETE">
  DISPUTE: RelayedStatement<"DISPUTE">
  /** With `more`, ask again from the last statement's time on. */
  PROPOSALS: { re?: string; list: readonly ProposalEntry[]; more?: boolean }
  SESSION_DISPLACED: { reason: string; ts: number }
  ERROR: {
    re?: string
    code: string
    message: string
    retry_after_ms?: number
    candidates?: readonly string[]
    hint?: string
    guard?: GuardFacts
  }
  GUARD: GuardFacts & {
    /** `warned`: what follows wakes nobody; `tripped`: it is refused; `lifted`: it may go on. */
    state: "warned" | "tripped" | "lifted"
    reason: string
    retry_after_ms?: number
    ts: number
  }
  GUARDS: { re?: string; agent: string; list: readonly GuardUsage[] }
  /** Of a message that was not sent: who gets it, who of them is woken, tokens all of them read, and what is left. */
  FORECAST: {
    re?: string
    to: string
    recipients: number
    woken: readonly string[]
    tokens: number
    guards: readonly GuardUsage[]
    refused?: GuardFacts & { reason: string; retry_after_ms?: number }
  }
  PONG: { re?: string; ts: number }
}

/** One line each, for the documents; a row without a body above does not compile, nor the other way round. */
export const serverMessages = {
  WELCOME: "the session stands",
  CHALLENGE: "prove the key you named",
  JOINED: "you are in; the replay follows",
  LEFT: "you are out",
  MSG: "a message for you",
  ACK: "your request was carried out",
  CHANNELS: "the channels you may see",
  CHANNEL_CHANGED: "a channel of yours tells newcomers something else now",
  TASK: "work for your role, yours until the lease ends",
  TASK_LOST: "a task is no longer yours",
  PENDING: "what waits, and for whom",
  AGENTS: "who is there",
  AGENT_JOINED: "others came into a channel of yours",
  AGENT_LEFT: "others left a channel of yours",
  PRESENCE_CHANGED: "somebody who shares a channel does something else now",
  INVITE: "you may join an invite-only channel",
  DELIVERY: "a rung of the delivery ladder was reached",
  PROPOSAL: "somebody offers or asks for work",
  ACCEPT: "a proposal is taken",
  REJECT: "a proposal is turned down",
  COMPLETE: "a deal is carried out, says one of the two",
  DISPUTE: "a deal is not carried out as agreed, says one of the two",
  PROPOSALS: "your proposals, with all that was signed",
  SESSION_DISPLACED: "your identity connected elsewhere; this session ends",
  ERROR: "your request was refused",
  GUARD: "a guard warns or stopped you, or lets you go on",
  GUARDS: "what the guards have counted",
  FORECAST: "what a message would do",
  PONG: "a sign of life",
} as const satisfies Record<keyof ServerBodies, string>

/** Name of a server message. */
export type ServerType = keyof ServerBodies

/** A message from a relay, of type `T`. */
export type ServerMessage<T extends ServerType = ServerType> = {
  [K in T]: { readonly type: K } & Readonly<ServerBodies[K]>
}[T]

/** Whether `text` names a server message. */
export function isServerType(text: string): text is ServerType {
  return Object.hasOwn(serverMessages, text)
}
