import * as v from "valibot"
import {
  type Address,
  type AgentRef,
  addressPattern,
  agentRefPattern,
  type Channel,
  channelPattern,
  type Nick,
  nickPattern,
} from "./names.js"

const nick = v.pipe(
  v.string(),
  v.regex(nickPattern, "must be 1-64 letters, digits, . _ - and not look like an agent id"),
  v.transform((text) => text as Nick),
)
const channel = v.pipe(
  v.string(),
  v.regex(channelPattern, "must be # and 1-64 letters, digits, _ - with single dots"),
  v.transform((text) => text as Channel),
)
const agentRef = v.pipe(
  v.string(),
  v.regex(agentRefPattern, "must be @ and a name or an agent id"),
  v.transform((text) => text as AgentRef),
)
const address = v.pipe(
  v.string(),
  v.regex(addressPattern, "must be a #channel or an @agent"),
  v.transform((text) => text as Address),
)
const shortText = (characters: number) =>
  v.pipe(v.string(), v.maxLength(characters, `must be at most ${characters} characters`))
const role = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1-64 letters, digits, . _ -"),
)
const count = v.pipe(
  v.number("must be a number"),
  v.safeInteger("must be a whole number"),
  v.minValue(0, "must not be negative"),
)
const messageId = shortText(130)

/** Presence an agent may claim for itself; `offline` is the relay's to say. */
const presenceStates = ["idle", "working", "waiting", "away"] as const
/** One of {@link presenceStates}. */
export type PresenceState = (typeof presenceStates)[number]
/** Why a message was written; `ack` and `auto` are never to be answered automatically (RFC 3834). */
const messageKinds = ["request", "inform", "ack", "auto", "status"] as const

const card = v.record(shortText(64), v.unknown(), "must be an object")

/**
 * Every message a client may send. `needs` is checked once, before dispatch:
 * nothing, or a session that said who it is. Add a row and the compiler names each place left to write.
 */
export const clientMessages = {
  IDENTIFY: {
    needs: "nothing",
    answer: "WELCOME, or CHALLENGE when pubkey is given",
    summary: "says who connects",
    body: v.object({
      name: nick,
      pubkey: v.optional(shortText(400)),
      role: v.optional(role),
      card: v.optional(card),
    }),
  },
  VERIFY_IDENTITY: {
    needs: "nothing",
    answer: "WELCOME",
    summary: "proves the key named in IDENTIFY",
    body: v.object({
      challenge_id: shortText(64),
      sig: v.optional(shortText(1024)),
      iat: v.optional(count),
      signature: v.optional(shortText(1024)),
      timestamp: v.optional(v.number()),
    }),
  },
  JOIN: {
    needs: "session",
    answer: "JOINED, then the replay",
    summary: "enters a channel",
    body: v.object({ channel, since: v.optional(count) }),
  },
  LEAVE: { needs: "session", answer: "LEFT", summary: "leaves a channel", body: v.object({ channel }) },
  MSG: {
    needs: "session",
    answer: "ACK",
    summary: "sends text to a channel or an agent",
    body: v.object({
      to: address,
      content: v.string("must be a string"),
      in_reply_to: v.optional(messageId),
      kind: v.optional(v.picklist(messageKinds, `must be one of ${messageKinds.join(", ")}`)),
      mentions: v.optional(v.pipe(v.array(agentRef), v.maxLength(32, "must name at most 32 agents"))),
      ts: v.optional(v.number()),
      sig: v.optional(shortText(1024)),
    }),
  },
  LIST_CHANNELS: {
    needs: "session",
    answer: "CHANNELS",
    summary: "lists the channels one may see",
    body: v.object({}),
  },
  LIST_AGENTS: {
    needs: "session",
    answer: "AGENTS",
    summary: "lists who is in a channel, or on the relay",
    body: v.object({ channel: v.optional(channel) }),
  },
  CREATE_CHANNEL: {
    needs: "session",
    answer: "JOINED",
    summary: "makes a channel and enters it",
    body: v.object({ channel, invite_only: v.optional(v.boolean()) }),
  },
  INVITE: {
    needs: "session",
    answer: "ACK",
    summary: "lets an agent into an invite-only channel",
    body: v.object({ channel, agent: agentRef }),
  },
  SET_PRESENCE: {
    needs: "session",
    answer: "ACK",
    summary: "says what one is doing",
    body: v.object({
      status: v.picklist(presenceStates, `must be one of ${presenceStates.join(", ")}`),
      activity: v.optional(shortText(200)),
      role: v.optional(role),
    }),
  },
  RECEIVED: {
    needs: "session",
    answer: "nothing",
    summary: "acknowledges what is safely on disk",
    body: v.object({
      ids: v.optional(v.pipe(v.array(messageId), v.maxLength(10_000))),
      up_to: v.optional(v.record(channel, count)),
    }),
  },
  PING: { needs: "nothing", answer: "PONG", summary: "asks for a sign of life", body: v.object({}) },
} as const satisfies Record<
  string,
  { needs: "nothing" | "session"; answer: string; summary: string; body: v.GenericSchema<object, object> }
>

/** Name of a client message. */
export type ClientType = keyof typeof clientMessages

/** A validated client message of type `T`. */
export type ClientMessage<T extends ClientType = ClientType> = {
  [K in T]: { readonly type: K; readonly id?: string } & Readonly<
    v.InferOutput<(typeof clientMessages)[K]["body"]>
  >
}[T]

/** What a client writes before validation: the same fields, names not yet checked. */
export type ClientFrame<T extends ClientType = ClientType> = {
  [K in T]: { readonly type: K; readonly id?: string } & Readonly<
    v.InferInput<(typeof clientMessages)[K]["body"]>
  >
}[T]

/** One handler per row: a missing or misspelt one does not compile. */
export type ClientHandlers<Context> = {
  readonly [K in ClientType]: (context: Context, message: ClientMessage<K>) => void
}

/** Whether `text` names a client message. */
export function isClientType(text: string): text is ClientType {
  return Object.hasOwn(clientMessages, text)
}
