import * as v from "valibot"
import { card } from "./agent-card.js"
import { descriptionLength, durationPattern, instructionsLength } from "./limits.js"
import {
  address,
  agentRef,
  channel,
  count,
  listOf,
  messageId,
  nick,
  role,
  shortText,
  subscription,
  waitingFor,
} from "./message-fields.js"
import { messageKinds } from "./message-kinds.js"
import { part } from "./message-part.js"
import { proposalIdSchema, statementBodies } from "./statements.js"

/** Presence an agent may claim for itself; `offline` is the relay's to say. */
const presenceStates = ["idle", "working", "waiting", "away"] as const
/** One of {@link presenceStates}. */
export type PresenceState = (typeof presenceStates)[number]

const channelSettings = {
  description: v.optional(shortText(descriptionLength)),
  instructions: v.optional(shortText(instructionsLength)),
  replay: v.optional(v.boolean("must be true or false")),
  window: v.optional(
    v.union(
      [v.literal(""), v.pipe(v.string(), v.regex(durationPattern))],
      "must be a number and s, m, h or d, such as 24h; empty takes it back",
    ),
  ),
}

/** What is said, and to whom. */
const message = {
  to: address,
  content: v.string("must be a string"),
  parts: v.optional(listOf(part)),
  in_reply_to: v.optional(messageId),
  kind: v.optional(v.picklist(messageKinds, `must be one of ${messageKinds.join(", ")}`)),
  mentions: v.optional(v.pipe(v.array(agentRef), v.maxLength(32, "must name at most 32 agents"))),
}

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
    summary: "enters a channel, or all whose names fit a pattern",
    body: v.object({ channel: subscription, since: v.optional(count) }),
  },
  LEAVE: {
    needs: "session",
    answer: "LEFT",
    summary: "leaves a channel or a pattern",
    body: v.object({ channel: subscription }),
  },
  MSG: {
    needs: "session",
    answer: "ACK",
    summary: "sends text to a channel, an agent, or one free worker of a role",
    body: v.object({
      ...message,
      ts: v.optional(v.number()),
      sig: v.optional(shortText(1024)),
    }),
  },
  FORECAST: {
    needs: "session",
    answer: "FORECAST",
    summary: "asks what a message would do: who would be woken, what is left; nothing is sent",
    body: v.object(message),
  },
  LIST_GUARDS: {
    needs: "session",
    answer: "GUARDS",
    summary: "tells what the guards have counted of oneself, or for an operator of another agent",
    body: v.object({ agent: v.optional(agentRef) }),
  },
  RESET_GUARD: {
    needs: "session",
    answer: "ACK",
    summary: "lifts what a guard stopped; an operator's to do",
    body: v.object({ scope: v.optional(shortText(200)) }),
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
    summary: "lists who is in a channel, or known to the relay; one agent, or all, with their cards",
    body: v.object({
      channel: v.optional(channel),
      agent: v.optional(agentRef),
      cards: v.optional(v.boolean()),
    }),
  },
  CREATE_CHANNEL: {
    needs: "session",
    answer: "JOINED",
    summary: "makes a channel and enters it",
    body: v.object({
      channel,
      invite_only: v.optional(v.boolean()),
      durable: v.optional(v.boolean()),
      ...channelSettings,
    }),
  },
  SET_CHANNEL: {
    needs: "session",
    answer: "ACK",
    summary: "changes what a channel tells newcomers; fields left out stay",
    body: v.object({ channel: v.union([channel, v.literal("*")]), ...channelSettings }),
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
      retrieved: v.optional(v.pipe(v.array(messageId), v.maxLength(1_000))),
    }),
  },
  PENDING: {
    needs: "session",
    answer: "PENDING",
    summary: "tells what waits for oneself, for another agent, or for a role",
    body: v.object({ target: v.optional(waitingFor) }),
  },
  CLAIM: {
    needs: "session",
    answer: "TASK",
    summary: "takes a task that waits",
    body: v.object({ task: messageId }),
  },
  EXTEND: {
    needs: "session",
    answer: "ACK",
    summary: "renews the lease of a task one works on",
    body: v.object({ task: messageId }),
  },
  DONE: {
    needs: "session",
    answer: "ACK",
    summary: "ends a task; the text is sent to who asked",
    body: v.object({ task: messageId, content: v.optional(v.string("must be a string")) }),
  },
  FAIL: {
    needs: "session",
    answer: "ACK",
    summary: "gives a task back, for the next worker",
    body: v.object({ task: messageId, reason: v.optional(shortText(500)) }),
  },
  PROPOSAL: {
    needs: "session",
    answer: "PROPOSAL",
    summary: "offers or asks for work, signed",
    body: v.object(statementBodies.PROPOSAL),
  },
  ACCEPT: {
    needs: "session",
    answer: "ACCEPT",
    summary: "takes a proposal, signed",
    body: v.object(statementBodies.ACCEPT),
  },
  REJECT: {
    needs: "session",
    answer: "REJECT",
    summary: "turns a proposal down, signed",
    body: v.object(statementBodies.REJECT),
  },
  COMPLETE: {
    needs: "session",
    answer: "COMPLETE",
    summary: "says that an accepted proposal is carried out, signed",
    body: v.object(statementBodies.COMPLETE),
  },
  DISPUTE: {
    needs: "session",
    answer: "DISPUTE",
    summary: "says that it is not, or not as agreed, signed",
    body: v.object(statementBodies.DISPUTE),
  },
  LIST_PROPOSALS: {
    needs: "session",
    answer: "PROPOSALS",
    summary:
      "lists one's own proposals, oldest change first: one of them, or those that changed since a time",
    body: v.object({ proposal: v.optional(proposalIdSchema), since: v.optional(count) }),
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

/**
 * One handler per row: a missing or misspelt one does not compile. What the same client sends next waits for
 * a promise.
 */
export type ClientHandlers<Context> = {
  readonly [K in ClientType]: (context: Context, message: ClientMessage<K>) => void | Promise<void>
}

/** Whether `text` names a client message. */
export function isClientType(text: string): text is ClientType {
  return Object.hasOwn(clientMessages, text)
}
