/** The fields that several messages share. */
import { isPlain } from "../base/plain.js"
import { traceparentPattern } from "../base/tracer.js"
import { maxRotations } from "./limits.js"
import {
  type Address,
  type AgentId,
  type AgentRef,
  addressPattern,
  agentIdPattern,
  agentRefPattern,
  type Channel,
  type ChannelPattern,
  channelPattern,
  type Nick,
  nickPattern,
  type RoleRef,
  roleRefPattern,
  subscriptionPattern,
} from "./names.js"
import {
  anyObject,
  either,
  list,
  literal,
  matching,
  number,
  type OutputOf,
  object,
  oneOf,
  optional,
  string,
  tested,
  text,
  whole,
} from "./schema.js"

/** The name of an agent. */
export const nick = matching<Nick>(
  nickPattern,
  "must be 1-64 letters, digits, . _ - and not have the form of an agent id",
)
/** A channel by name. */
export const channel = matching<Channel>(
  channelPattern,
  "must be # and 1-64 letters, digits, _ - with single dots",
)
/** An agent by name or id. */
export const agentRef = matching<AgentRef>(agentRefPattern, "must be @ and a name or an agent id")
/** An agent by id. */
export const agentId = matching<AgentId>(agentIdPattern, "must be @ and an agent id")
/** The address of a message. */
export const address = matching<Address>(addressPattern, "must be a #channel, an @agent or a +role")
/** A channel, or a pattern of channels, to join. */
export const subscription = matching<Channel | ChannelPattern>(
  subscriptionPattern,
  "must be a #channel, or a pattern with * for one level or a last >",
)
/** An agent or a role. */
export const recipient = matching<AgentRef | RoleRef>(
  new RegExp(`${agentRefPattern.source}|${roleRefPattern.source}`),
  "must be an @agent or a +role",
)
/** Agents by id and roles, such as those that may write to a channel. */
export const writers = list(
  matching<AgentId | RoleRef>(
    new RegExp(`${agentIdPattern.source}|${roleRefPattern.source}`),
    "must be the @id of an agent or a +role",
  ),
  32,
)
/** The role of an agent. */
export const role = matching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1-64 letters, digits, . _ -")
/** A whole number from 0. */
export const count = whole()
/** The id of a message, or of the task it became. */
export const messageId = text(130)
const rotation = object({
  v: literal(1),
  type: literal("ROTATION"),
  from: text(128),
  to: text(128),
  ts: number(),
  sigs: list(text(1024), 2),
})
const revocation = object({
  v: literal(1),
  type: literal("REVOCATION"),
  from: text(128),
  ts: number(),
  reason: optional(text(1024)),
  sig: text(1024),
})
/** ROTATION statements, oldest first; see `identity/succession.ts`. */
export const rotations = list(rotation, maxRotations)
/** A statement about the end of a key. */
export const keyStatement = either(rotation, revocation, "must be a ROTATION or a REVOCATION statement")
/** A statement about the end of a key that was not verified yet. */
export type KeyStatementClaim = OutputOf<{ readonly one: typeof keyStatement }>["one"]
/** A ROTATION statement that was not verified yet. */
export type RotationClaim = OutputOf<{ readonly all: typeof rotations }>["all"][number]
/** Latest time that a Date can hold. */
const latestTime = 8_640_000_000_000_000
/** The signature of a message by its author, see `identity/message-signature.ts`. */
export const messageProof = object({
  /** The target that was signed: the channel, the role, or the agent by the id that its author knows, else by name. */
  to: address,
  /** When it was signed. */
  ts: whole(0, latestTime),
  sig: text(1024),
})
/** The signature of a message, not checked yet. */
export type MessageProof = OutputOf<{ readonly one: typeof messageProof }>["one"]
/** The fields of a received message that its author wrote; their signature is checked where the message is read. */
export const authored = {
  parts: optional(list<unknown, unknown>(anyObject())),
  in_reply_to: optional(string),
  kind: optional(string),
  signed: optional(anyObject()),
} as const
/** Most members of a list. */
export const maxListed = 32

/** The reverse-DNS name of a kind of message part. */
const ownKind = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/

/** A part of a message besides its text. It is passed on as it was written. */
export const part = tested<Readonly<Record<string, unknown>>>(
  isPart,
  'must be {"kind":"text","text":…}, {"kind":"data","data":…}, or of a kind with a reverse-DNS name such as com.example.diff',
)

function isPart(value: unknown): boolean {
  if (!isPlain(value)) return false
  const { kind, text: content } = value
  if (kind === "text") return typeof content === "string"
  if (kind === "data") return Object.hasOwn(value, "data")
  return typeof kind === "string" && kind.length <= 128 && ownKind.test(kind)
}

const tag = text(64)
const maxMetaCharacters = 4096
const maxMetaKey = 64

const cardFields = {
  kind: optional(oneOf(["agent", "endpoint"])),
  description: optional(text(500)),
  version: optional(text(64)),
  url: optional(text(500)),
  tags: optional(list(tag, maxListed)),
  skills: optional(
    list(
      object({
        id: tag,
        name: text(128),
        description: optional(text(500)),
        tags: optional(list(tag, maxListed)),
      }),
      maxListed,
    ),
  ),
  meta: optional(
    tested<Readonly<Record<string, unknown>>>(
      isMeta,
      `must be an object of at most ${maxMetaCharacters} characters of JSON`,
    ),
  ),
} as const

function isMeta(value: unknown): boolean {
  if (!isPlain(value) || Object.keys(value).some((key) => key.length > maxMetaKey)) return false
  return JSON.stringify(value).length <= maxMetaCharacters
}

/** An agent's description of itself; skills have the shape of those of an A2A AgentCard (A2A 0.3 §5.5). */
export const card = object(cardFields)
/** An agent's description of itself, as others see it. */
export type AgentCard = OutputOf<typeof cardFields>

/** The context of a trace (W3C Trace Context, version 00). */
export const traceparent = matching(traceparentPattern, "must be a traceparent of version 00")
