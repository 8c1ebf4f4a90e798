import {
  addressPattern,
  agentRefPattern,
  channelPattern,
  roleRefPattern,
  subscriptionPattern,
} from "../protocol/names.js"
import {
  dealStates,
  deliveryStates,
  type ServerBodies,
  type ServerType,
} from "../protocol/server-messages.js"

/** Longest wait a relay may ask for, in milliseconds. */
const maxWaitMs = 86_400_000

const isText = (value: unknown) => typeof value === "string"
const isAgent = (value: unknown) => typeof value === "string" && agentRefPattern.test(value)
const isChannel = (value: unknown) => typeof value === "string" && channelPattern.test(value)
const isSubscription = (value: unknown) => typeof value === "string" && subscriptionPattern.test(value)
const isWaitedFor = (value: unknown) => isAgent(value) || (isText(value) && roleRefPattern.test(value))
const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value)
const isAddress = (value: unknown) => typeof value === "string" && addressPattern.test(value)
const isTime = (value: unknown) => typeof value === "number" && Number.isFinite(value)
const isFlag = (value: unknown) => typeof value === "boolean"
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
const isWait = (value: unknown) => typeof value === "number" && value >= 0 && value <= maxWaitMs

type Check = (value: unknown) => boolean
const listOf = (check: Check) => (value: unknown) => Array.isArray(value) && value.every(check)

const flatChecks = {
  text: isText,
  agent: isAgent,
  channel: isChannel,
  address: isAddress,
  time: isTime,
  count: isCount,
  wait: isWait,
  flag: isFlag,
  texts: listOf(isText),
  agents: listOf(isAgent),
  acked: (value: unknown) => value === "accepted" || value === "done",
  rung: (value: unknown) => (deliveryStates as readonly unknown[]).includes(value),
  dealState: (value: unknown) => (dealStates as readonly unknown[]).includes(value),
  lifter: (value: unknown) => ["time", "operator", "progress"].includes(value as string),
  guardState: (value: unknown) => ["warned", "tripped", "lifted"].includes(value as string),
  subscription: isSubscription,
  waitedFor: isWaitedFor,
  object: isObject,
  objects: listOf(isObject),
} as const satisfies Record<string, Check>

const settingsKinds = {
  description: "text?",
  instructions: "text?",
  replay: "flag?",
  window: "text?",
} as const

const checks = {
  ...flatChecks,
  people: listOf(objectOf({ id: "agent", name: "text" })),
  settings: objectOf(settingsKinds),
  roster: listOf(
    objectOf({
      id: "agent",
      name: "text",
      status: "text",
      activity: "text?",
      role: "text?",
      since: "time?",
      seen_ts: "time?",
      read_ts: "time?",
      answered_ts: "time?",
      stale: "flag?",
      card: "object?",
      did: "text?",
    }),
  ),
  channels: listOf(
    objectOf({
      name: "channel",
      agents: "count",
      invite_only: "flag",
      durable: "flag?",
      settings: "object?",
    }),
  ),
  proposals: listOf(objectOf({ id: "text", state: "dealState", statements: "objects", names: "object" })),
  guard: objectOf({ layer: "text", scope: "text", lifted_by: "lifter", evidence: "texts" }),
  usages: listOf(
    objectOf({
      layer: "text",
      scope: "text",
      used: "time",
      limit: "time",
      free_in_ms: "wait?",
      tripped: "flag",
    }),
  ),
  refusal: objectOf({
    layer: "text",
    scope: "text",
    lifted_by: "lifter",
    evidence: "texts",
    reason: "text",
    retry_after_ms: "wait?",
  }),
  limits: objectOf({
    frame_bytes: "count",
    rate_per_s: "time",
    burst: "count",
    rate_bytes: "count?",
    buffer: "count",
  }),
} as const

type Kind = keyof typeof checks
type FlatKind = keyof typeof flatChecks
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

/** The fields of each server message. */
export const serverMessageFields: Readonly<Record<ServerType, readonly Field[]>> = mapValues(
  fieldKinds,
  (kinds) => compile(checks, kinds),
)

/** Checks an object whose members are all flat. */
function objectOf(kinds: Readonly<Record<string, FlatKind | `${FlatKind}?`>>): Check {
  const fields = compile(flatChecks, kinds)
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    fields.every(({ name, check }) => check((value as Record<string, unknown>)[name]))
}

/** Looks every kind up once, as a relay's messages come by the ten thousand. */
function compile<K extends string>(
  table: Readonly<Record<K, Check>>,
  kinds: Readonly<Record<string, K | `${K}?`>>,
): Field[] {
  return Object.entries(kinds).map(([name, kind]) => {
    if (!kind.endsWith("?")) return { name, check: table[kind as K] }
    const check = table[kind.slice(0, -1) as K]
    return { name, check: (value) => value === undefined || check(value) }
  })
}

function mapValues<K extends string, A, B>(
  table: Readonly<Record<K, A>>,
  map: (value: A) => B,
): Record<K, B> {
  return Object.fromEntries(Object.entries<A>(table).map(([key, value]) => [key, map(value)])) as Record<K, B>
}
