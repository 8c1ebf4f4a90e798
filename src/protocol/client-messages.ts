import { parseDuration } from "../base/duration.js"
import { claimFields, claimPath, maxPaths, repositoryName } from "./claims.js"
import { grant, maxGrants } from "./grants.js"
import { waitMs } from "./guard-facts.js"
import { descriptionLength, instructionsLength, searchLength } from "./limits.js"
import {
  address,
  agentId,
  agentRef,
  card,
  channel,
  count,
  keyStatement,
  maxListed,
  messageId,
  messageProof,
  nick,
  part,
  recipient,
  role,
  rotations,
  subscription,
  traceparent,
} from "./message-fields.js"
import { messageKinds } from "./message-kinds.js"
import { moderation } from "./moderation.js"
import { answerProof, taskFields } from "./questions.js"
import {
  boolean,
  either,
  type Fields,
  type InputOf,
  list,
  literal,
  number,
  type OutputOf,
  oneOf,
  optional,
  record,
  string,
  tested,
  text,
  whole,
} from "./schema.js"
import type { ServerType } from "./server-messages.js"
import { proposalIdSchema, statementBodies } from "./statements.js"
import { attentions, channelAttentions, wakeLease, wakeMethod } from "./wake.js"

/** Presence an agent may claim for itself; only the relay says `offline`. */
const presenceStates = ["idle", "working", "waiting", "away"] as const
/** One of {@link presenceStates}. */
export type PresenceState = (typeof presenceStates)[number]

const channelSettings = {
  description: optional(text(descriptionLength)),
  instructions: optional(text(instructionsLength)),
  replay: optional(boolean),
  window: optional(
    either(
      literal(""),
      tested<string>((value) => typeof value === "string" && parseDuration(value) !== undefined, ""),
      "must be a number and s, m, h or d, such as 24h, up to 3650d; empty takes it back",
    ),
  ),
} as const

const message = {
  to: address,
  content: string,
  parts: optional(list(part, maxListed)),
  in_reply_to: optional(messageId),
  kind: optional(oneOf(messageKinds)),
  mentions: optional(list(agentRef, maxListed)),
} as const

/** The declaration of a client message; every list of client messages elsewhere derives from these rows. */
interface ClientRow {
  /** Checked before dispatch: `session` is a connection that has identified itself. */
  readonly needs: "nothing" | "session"
  /** The type of the relay's answer; absent if there is none. */
  readonly answer?: ServerType
  /** A note on the answer, for the documentation. */
  readonly answerNote?: string
  /** True if a line of the outbox may carry it. */
  readonly outbox: boolean
  /** One line for the documentation. */
  readonly summary: string
  readonly fields: Fields
}

/** Every message a client may send. Add a row, and the compiler names each place that must handle it. */
export const clientMessages = {
  IDENTIFY: {
    needs: "nothing",
    answer: "WELCOME",
    answerNote: "or CHALLENGE if pubkey is given",
    outbox: false,
    summary: "names the agent that connects",
    fields: {
      name: nick,
      pubkey: optional(text(400)),
      role: optional(role),
      card: optional(card),
      /** True if the client confirms each DELIVERY and INVITE with RECEIVED, as it does messages. */
      confirms_notices: optional(boolean),
      process: optional(text(64)),
      attempt: optional(count),
    },
  },
  VERIFY_IDENTITY: {
    needs: "nothing",
    answer: "WELCOME",
    outbox: false,
    summary: "proves the key named in IDENTIFY",
    fields: {
      challenge_id: text(64),
      sig: optional(text(1024)),
      iat: optional(count),
      /** The rotations that led to the key, oldest first: the agent takes over what waits for its earlier ids. */
      rotations: optional(rotations),
      /** The grants that let the agent into a closed relay. */
      grants: optional(list(grant, maxGrants)),
      signature: optional(text(1024)),
      timestamp: optional(number()),
    },
  },
  KEY_STATEMENT: {
    needs: "nothing",
    answer: "ACK",
    outbox: false,
    summary: "says that a key was revoked or replaced; whoever has the signed statement may bring it",
    fields: { statement: keyStatement },
  },
  JOIN: {
    needs: "session",
    answer: "JOINED",
    answerNote: "then the replay",
    outbox: true,
    summary: "joins a channel, or all channels that match a pattern",
    fields: { channel: subscription, since: optional(count) },
  },
  LEAVE: {
    needs: "session",
    answer: "LEFT",
    outbox: true,
    summary: "leaves a channel or a pattern",
    fields: { channel: subscription },
  },
  MSG: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "sends text to a channel, to an agent, or to one free worker of a role",
    fields: {
      ...message,
      /** The agent that the name in `to` meant in an earlier message; refused if it means another one now. */
      to_id: optional(agentId),
      /** Milliseconds, from when the relay has it, that the author waits for an answer. */
      wait_ms: optional(waitMs),
      ...taskFields,
      /** Made by the author's key; the relay passes it on unread. */
      signed: optional(messageProof),
      ts: optional(number()),
      sig: optional(text(1024)),
      /** The span that the message continues; a relay passes on that of its own, or none. */
      trace: optional(traceparent),
    },
  },
  FORECAST: {
    needs: "session",
    answer: "FORECAST",
    outbox: true,
    summary: "asks what a message would do: who would be woken, what is left; sends nothing",
    fields: message,
  },
  LIST_GUARDS: {
    needs: "session",
    answer: "GUARDS",
    outbox: true,
    summary:
      "asks what the guards have counted for this agent; an operator may ask for another agent, or for everything that is stopped",
    fields: { agent: optional(agentRef), stopped: optional(boolean) },
  },
  RESET_GUARD: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "lifts what a guard stopped; for operators",
    fields: { scope: optional(text(200)) },
  },
  MODERATE: {
    needs: "session",
    answer: "ACK",
    answerNote: "`accepted` if a second operator has to say the same",
    outbox: true,
    summary: "carries out a signed action of an operator",
    fields: { statement: moderation },
  },
  LIST_AUDIT: {
    needs: "session",
    answer: "AUDIT",
    outbox: true,
    summary: "asks for the actions of operators; for operators",
    fields: { after: optional(count) },
  },
  LIST_GRANTS: {
    needs: "session",
    answer: "GRANTS",
    outbox: true,
    summary: "asks for the grants that were used, and by whom; for operators",
    fields: {},
  },
  LIST_MESSAGES: {
    needs: "session",
    answer: "MESSAGES",
    outbox: true,
    summary: "finds messages of the channels that this agent may read, and direct messages that wait for it",
    fields: {
      /** Words that have to occur, each as the beginning of a word; `"in quotes"`, one after the other. */
      text: optional(text(searchLength, 1)),
      from: optional(agentRef),
      channel: optional(channel),
      kind: optional(oneOf(messageKinds)),
      /** Only the conversation around this message. */
      thread: optional(messageId),
      /** Milliseconds since the Unix epoch: not before, and before. */
      since: optional(count),
      until: optional(count),
      /** A position from an earlier answer: the newest messages before it, or the oldest after it; 0 for the first. */
      before: optional(count),
      after: optional(count),
      /** Most messages of the answer (default 50, at most 200). */
      limit: optional(whole(1, 200)),
    },
  },
  LIST_CHANNELS: {
    needs: "session",
    answer: "CHANNELS",
    outbox: true,
    summary: "lists the channels this agent may see",
    fields: {},
  },
  LIST_AGENTS: {
    needs: "session",
    answer: "AGENTS",
    outbox: true,
    summary: "lists the agents of a channel, or all the relay knows, or one; on request with their cards",
    fields: {
      channel: optional(channel),
      agent: optional(agentRef),
      cards: optional(boolean),
      /** True to list agents too that have been away for more than 7 days. */
      all: optional(boolean),
    },
  },
  CREATE_CHANNEL: {
    needs: "session",
    answer: "JOINED",
    outbox: true,
    summary: "creates a channel and joins it",
    fields: {
      channel,
      invite_only: optional(boolean),
      durable: optional(boolean),
      ...channelSettings,
    },
  },
  SET_CHANNEL: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "changes the settings of a channel; absent fields stay as they are",
    fields: { channel: either(channel, literal("*"), "must be a #channel, or *"), ...channelSettings },
  },
  REMOVE_CHANNEL: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "ends a channel, whoever is in it; for operators",
    fields: { channel },
  },
  INVITE: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "admits an agent to an invite-only channel",
    fields: { channel, agent: agentRef },
  },
  SET_PRESENCE: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "sets this agent's status",
    fields: {
      status: oneOf(presenceStates),
      activity: optional(text(200)),
      role: optional(role),
      /** The senders that may wake it; absent: as before. */
      attention: optional(oneOf(attentions)),
    },
  },
  SET_ATTENTION: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "sets what of a channel wakes this agent; its daemon keeps it",
    fields: { channel, attention: oneOf(channelAttentions) },
  },
  SET_WAKE_LEASE: {
    needs: "session",
    answer: "ACK",
    outbox: false,
    summary: "proves that this agent was woken, or withdraws the proof",
    fields: { lease: optional(wakeLease) },
  },
  RECEIVED: {
    needs: "session",
    outbox: false,
    summary: "confirms messages that are safely on disk",
    fields: {
      ids: optional(list(messageId, 10_000)),
      up_to: optional(record(channel, count)),
      retrieved: optional(list(messageId, 1_000)),
      /** Messages that an idle session was rung for. */
      rung: optional(list(messageId, 1_000)),
      /** Messages that were put into the context of a model. */
      in_context: optional(list(messageId, 1_000)),
      /** How it was rung, or what put them there. */
      method: optional(wakeMethod),
    },
  },
  PENDING: {
    needs: "session",
    answer: "PENDING",
    outbox: true,
    summary: "asks what is waiting for this agent, for another agent, or for a role",
    fields: { target: optional(recipient) },
  },
  CLAIM_PATHS: {
    needs: "session",
    answer: "CLAIMS",
    outbox: true,
    summary:
      "claims files of a repository for a time, signed: all paths, or none if another agent has one of them",
    fields: claimFields,
  },
  RELEASE_PATHS: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "ends own claims: of these paths, or all of them in the repository, or everywhere",
    fields: { repo: optional(repositoryName), paths: optional(list(claimPath, maxPaths)) },
  },
  LIST_CLAIMS: {
    needs: "session",
    answer: "CLAIMS",
    outbox: true,
    summary: "lists the claims of a repository, or all; on request also sends every later change",
    fields: { repo: optional(repositoryName), follow: optional(boolean) },
  },
  LIST_TASKS: {
    needs: "session",
    answer: "TASKS",
    outbox: false,
    summary: "lists the tasks of a role, or of all roles, that are not finished",
    fields: { role: optional(role) },
  },
  CLAIM: {
    needs: "session",
    answer: "TASK",
    outbox: true,
    summary: "takes a waiting task",
    fields: { task: messageId },
  },
  EXTEND: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "renews the lease of a task",
    fields: { task: messageId },
  },
  DONE: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "ends a task and sends the text to the agent that asked",
    fields: {
      task: messageId,
      content: optional(string),
      /** Needed if the task has choices or a schema, or is for people. */
      answer: optional(answerProof),
      /** Of the message to the agent that asked. */
      signed: optional(messageProof),
    },
  },
  FAIL: {
    needs: "session",
    answer: "ACK",
    outbox: true,
    summary: "gives a task back, for the next worker",
    fields: { task: messageId, reason: optional(text(500)) },
  },
  PROPOSAL: {
    needs: "session",
    answer: "PROPOSAL",
    outbox: true,
    summary: "offers or asks for work, signed",
    fields: statementBodies.PROPOSAL,
  },
  ACCEPT: {
    needs: "session",
    answer: "ACCEPT",
    outbox: true,
    summary: "accepts a proposal, signed",
    fields: statementBodies.ACCEPT,
  },
  REJECT: {
    needs: "session",
    answer: "REJECT",
    outbox: true,
    summary: "rejects a proposal, signed",
    fields: statementBodies.REJECT,
  },
  COMPLETE: {
    needs: "session",
    answer: "COMPLETE",
    outbox: true,
    summary: "states that the accepted work is done, signed",
    fields: statementBodies.COMPLETE,
  },
  DISPUTE: {
    needs: "session",
    answer: "DISPUTE",
    outbox: true,
    summary: "states that the work is not done, or not as agreed, signed",
    fields: statementBodies.DISPUTE,
  },
  LIST_PROPOSALS: {
    needs: "session",
    answer: "PROPOSALS",
    outbox: false,
    summary: "lists this agent's proposals by their last change: one, or those that changed since a time",
    fields: {
      proposal: optional(proposalIdSchema),
      since: optional(count),
      /** True for those of all agents; for operators, and agents with an `admin` grant. */
      all: optional(boolean),
    },
  },
  PING: {
    needs: "nothing",
    answer: "PONG",
    outbox: true,
    summary: "asks for a sign of life",
    fields: {},
  },
} as const satisfies Record<string, ClientRow>

type Rows = typeof clientMessages
type TypesWith<Condition> = { [K in keyof Rows]: Rows[K] extends Condition ? K : never }[keyof Rows]

/** Name of a client message. */
export type ClientType = keyof Rows

/** A validated client message of type `T`. */
export type ClientMessage<T extends ClientType = ClientType> = {
  [K in T]: { readonly type: K; readonly id?: string } & OutputOf<Rows[K]["fields"]>
}[T]

/** A client message before validation: the same fields, names not yet checked. */
export type ClientFrame<T extends ClientType = ClientType> = {
  [K in T]: { readonly type: K; readonly id?: string } & InputOf<Rows[K]["fields"]>
}[T]

/** Name of a client message that an established session sends and the relay answers. */
export type RequestType = Exclude<TypesWith<{ readonly answer: ServerType }>, "IDENTIFY" | "VERIFY_IDENTITY">

/** Name of the server message that answers a request. */
export type AnswerType<T extends RequestType> = Rows[T]["answer"]

/** Name of a message that a line of the outbox may carry. */
export type OutboxType = TypesWith<{ readonly outbox: true }>

/** Names of the messages that a line of the outbox may carry; statements of deals are written as drafts. */
export const outboxTypes = (Object.keys(clientMessages) as ClientType[]).filter(
  (type): type is OutboxType => clientMessages[type].outbox,
)

/** A handler for each message. The next message of the same client waits for a returned promise. */
export type ClientHandlers<Context> = {
  readonly [K in ClientType]: (context: Context, message: ClientMessage<K>) => void | Promise<void>
}

/** Types whose text comes into the inboxes of other agents. */
const spokenTypes: ReadonlySet<string> = new Set(["MSG", "PROPOSAL", "INVITE", "SET_CHANNEL"])

/**
 * Reports whether a message puts text into the inboxes of others, and so counts against the rate of its agent. The texts of
 * a new channel come to those who join it by a pattern; without them it can be created again after a restart of the relay.
 */
export function isSpoken(message: { readonly type: string }): boolean {
  if (message.type !== "CREATE_CHANNEL") return spokenTypes.has(message.type)
  return "description" in message || "instructions" in message
}

/** Reports whether `text` names a client message. */
export function isClientType(text: string): text is ClientType {
  return Object.hasOwn(clientMessages, text)
}
