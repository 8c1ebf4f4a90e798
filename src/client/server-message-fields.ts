import type { ServerBodies, ServerType } from "../protocol/server-messages.js"
import { type Check, checkOf, type Kind } from "./field-kinds.js"

/** A field's kind, with `?` when it may be absent. */
type FieldKinds<Body> = {
  readonly [K in keyof Body]-?: object extends Pick<Body, K> ? `${Kind}?` : Kind
}

const comeAndGo = { channel: "channel", agent: "agent", name: "text", ts: "time", agents: "people?" } as const

/** What every relayed statement has; whether it proves anything is for who signs and verifies to say. */
const statement = {
  re: "text?",
  msg_id: "text",
  name: "text",
  state: "dealState",
  v: "count",
  id: "text",
  from: "text",
  to: "text",
  ts: "time",
  aud: "text",
  sig: "text",
} as const
const answer = { ...statement, proposal_id: "text", prev: "text" } as const

/**
 * What each field of a server message must be. Hand-written instead of a schema library: a one-shot
 * `send` must not pay for loading one. A field added to the protocol does not compile until it stands here.
 */
const fieldKinds = {
  WELCOME: {
    re: "text?",
    agent_id: "agent",
    name: "text",
    server: "text",
    server_id: "text",
    protocol: "count",
    limits: "limits",
    ts: "time",
  },
  CHALLENGE: { re: "text?", challenge_id: "text", nonce: "text", aud: "text", expires_ms: "time" },
  JOINED: {
    re: "text?",
    channel: "subscription",
    agents: "agents",
    roster: "roster",
    count: "count",
    seq: "count",
    invite_only: "flag",
    durable: "flag?",
    settings: "settings?",
    pattern: "text?",
  },
  LEFT: { re: "text?", channel: "subscription" },
  MSG: {
    from: "agent",
    name: "text",
    to: "address",
    content: "text",
    parts: "objects?",
    ts: "time",
    msg_id: "text",
    hops: "count",
    seq: "count?",
    replay: "flag?",
    in_reply_to: "text?",
    kind: "text?",
    mentions: "texts?",
    sig: "text?",
  },
  ACK: {
    re: "text?",
    ts: "time",
    state: "acked",
    msg_id: "text?",
    seq: "count?",
    recipients: "count?",
    to: "agent?",
    member: "flag?",
    duplicate: "flag?",
  },
  CHANNELS: { re: "text?", list: "channels", defaults: "settings?" },
  CHANNEL_CHANGED: { channel: "channel", by: "agent", settings: "settings", ts: "time" },
  TASK: {
    re: "text?",
    task: "text",
    role: "text",
    from: "agent",
    name: "text",
    content: "text",
    parts: "objects?",
    lease_ms: "wait",
    attempt: "count",
    ts: "time",
  },
  TASK_LOST: { task: "text", reason: "text", ts: "time" },
  PENDING: {
    re: "text?",
    target: "waitedFor",
    count: "count",
    ids: "texts",
    oldest_ts: "time?",
    claimed: "count?",
  },
  AGENTS: { re: "text?", channel: "channel?", list: "agents", roster: "roster" },
  AGENT_JOINED: comeAndGo,
  AGENT_LEFT: comeAndGo,
  PRESENCE_CHANGED: {
    agent: "agent",
    name: "text",
    status: "text",
    activity: "text?",
    role: "text?",
    ts: "time",
  },
  INVITE: { channel: "channel", from: "agent", name: "text", ts: "time" },
  DELIVERY: { msg_id: "text", state: "rung", by: "waitedFor", ts: "time", reason: "text?" },
  PROPOSAL: {
    ...statement,
    task: "text",
    amount: "text?",
    currency: "text?",
    payment_code: "text?",
    terms: "text?",
    expires: "count",
    dispute_window: "count",
  },
  ACCEPT: { ...answer, payment_code: "text?" },
  REJECT: { ...answer, reason: "text?" },
  COMPLETE: { ...answer, proof: "text?" },
  DISPUTE: { ...answer, reason: "text", fault: "text?" },
  PROPOSALS: { re: "text?", list: "proposals", more: "flag?" },
  SESSION_DISPLACED: { reason: "text", ts: "time" },
  ERROR: {
    re: "text?",
    code: "text",
    message: "text",
    retry_after_ms: "wait?",
    candidates: "texts?",
    hint: "text?",
    guard: "guard?",
  },
  GUARD: {
    layer: "text",
    scope: "text",
    lifted_by: "lifter",
    evidence: "texts",
    state: "guardState",
    reason: "text",
    retry_after_ms: "wait?",
    ts: "time",
  },
  GUARDS: { re: "text?", agent: "agent", list: "usages" },
  FORECAST: {
    re: "text?",
    to: "text",
    recipients: "count",
    woken: "agents",
    tokens: "count",
    guards: "usages",
    refused: "refusal?",
  },
  PONG: { re: "text?", ts: "time" },
} as const satisfies { [T in keyof ServerBodies]: FieldKinds<ServerBodies[T]> }

/** A field as it is checked. */
export interface Field {
  readonly name: string
  readonly check: Check
}

/** The fields of each server message. Every kind is looked up once, as a relay's messages come by the ten thousand. */
export const serverMessageFields: Readonly<Record<ServerType, readonly Field[]>> = mapValues(
  fieldKinds,
  (kinds: Readonly<Record<string, Kind | `${Kind}?`>>) =>
    Object.entries(kinds).map(([name, kind]) => ({ name, check: checkOf(kind) })),
)

function mapValues<K extends string, A, B>(
  table: Readonly<Record<K, A>>,
  map: (value: A) => B,
): Record<K, B> {
  return Object.fromEntries(Object.entries<A>(table).map(([key, value]) => [key, map(value)])) as Record<K, B>
}
