import {
  addressPattern,
  agentRefPattern,
  channelPattern,
  roleRefPattern,
  subscriptionPattern,
} from "../protocol/names.js"
import { dealStates, deliveryStates } from "../protocol/server-messages.js"

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

/** Whether a value is of a kind. */
export type Check = (value: unknown) => boolean
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

type FlatKind = keyof typeof flatChecks

const checks = {
  ...flatChecks,
  people: listOf(objectOf({ id: "agent", name: "text" })),
  settings: objectOf({ description: "text?", instructions: "text?", replay: "flag?", window: "text?" }),
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

/** What a field of a server message may be, by name: what the protocol calls it, not what JavaScript does. */
export type Kind = keyof typeof checks

/** The check of a kind; with `?` the value may be absent, too. */
export function checkOf(kind: Kind | `${Kind}?`): Check {
  return lookUp(checks, kind)
}

/** Checks an object whose members are all flat. Others it may have are not looked at. */
function objectOf(kinds: Readonly<Record<string, FlatKind | `${FlatKind}?`>>): Check {
  const members = Object.entries(kinds).map(([name, kind]) => ({ name, check: lookUp(flatChecks, kind) }))
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    members.every(({ name, check }) => check((value as Record<string, unknown>)[name]))
}

function lookUp<K extends string>(table: Readonly<Record<K, Check>>, kind: K | `${K}?`): Check {
  if (!kind.endsWith("?")) return table[kind as K]
  const check = table[kind.slice(0, -1) as K]
  return (value) => value === undefined || check(value)
}
