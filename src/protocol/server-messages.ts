import { claimEntry } from "./claims.js"
import { grant, rights } from "./grants.js"
import { guardFacts, guardUsage, waitMs } from "./guard-facts.js"
import {
  type AgentCard,
  address,
  agentRef,
  authored,
  channel,
  count,
  keyStatement,
  recipient,
  rotations,
  subscription,
  writers,
} from "./message-fields.js"
import { auditEntry } from "./moderation.js"
import { answerProof, askedFields } from "./questions.js"
import {
  anyObject,
  boolean,
  type Fields,
  type InputOf,
  list,
  looselyAs,
  number,
  object,
  oneOf,
  openObject,
  optional,
  type Schema,
  string,
} from "./schema.js"
import { type Statement, statementBodies } from "./statements.js"
import type { Verb } from "./verbs.js"
import { wakeLease } from "./wake.js"

/** Milliseconds since the Unix epoch. */
const time = number()
/** The `id` of the frame that is answered. */
const re = optional(string)
/** Proof that the agent in the answer is the one that was named by an earlier id. */
const succession = { rotations: optional(rotations) } as const

const rosterEntry = {
  id: agentRef,
  name: string,
  /** The status the agent set; `offline` if it has no session or has been silent for 6 s. */
  status: string,
  activity: optional(string),
  role: optional(string),
  /** When the status was set. */
  since: optional(time),
  /** The last sign of life of its daemon. */
  seen_ts: optional(time),
  /** When a reader last took something from its inbox. */
  read_ts: optional(time),
  /** When it last sent a message. */
  answered_ts: optional(time),
  /** It says `working`, and has not read, sent or changed anything for two minutes. */
  stale: optional(boolean),
  /** The senders that may wake it, unless all may. */
  attention: optional(string),
  /** The last proof that it could be woken, signed by its key; absent once it has expired. */
  wakeable: optional(wakeLease),
  /** Its claims of files. */
  claims: optional(list(claimEntry)),
  card: optional(anyObject<AgentCard>()),
  /** did:key of a persistent identity; only if one agent was asked for. */
  did: optional(string),
} as const
/** An agent as JOINED and AGENTS list it. Times are milliseconds since the Unix epoch. */
export type RosterEntry = InputOf<typeof rosterEntry>

const targetFacts = {
  status: string,
  attention: optional(string),
  seen_ts: time,
  read_ts: optional(time),
  /** Messages for it that no reader has taken, as far as the relay knows, with this one. */
  unread: optional(count),
  wakeable: optional(wakeLease),
} as const
/** Facts for the sender of a direct message about its recipient, as in {@link RosterEntry}. */
export type TargetFacts = InputOf<typeof targetFacts>

const settingsFields = {
  description: optional(string),
  instructions: optional(string),
  /** True if new members get earlier messages; absent: the relay's default applies. */
  replay: optional(boolean),
  /** The age of the oldest message they get, such as `24h`. */
  window: optional(string),
} as const
/** The settings of a channel; absent members were never set. */
export type ChannelSettings = InputOf<typeof settingsFields>
export const channelSettings = openObject(settingsFields)

const welcomeLimits = {
  /** Size of the largest frame, in bytes. */
  frame_bytes: count,
  /** Messages per second. */
  rate_per_s: number(),
  /** Messages at once after a pause. */
  burst: number(),
  /** Bytes of a frame that count as one more message; absent: a message counts once, however long it is. */
  rate_bytes: optional(count),
  /** Messages replayed to a newcomer. */
  buffer: count,
} as const
/** The limits of a relay that a client needs to pace itself. */
export type WelcomeLimits = InputOf<typeof welcomeLimits>

const channelEntry = {
  name: channel,
  agents: count,
  invite_only: boolean,
  durable: optional(boolean),
  /** Number of its newest message; absent if it has none. */
  seq: optional(count),
  settings: optional(channelSettings),
  /** Those that may write besides operators; absent if every member may. */
  writers: optional(writers),
} as const
/** A channel as CHANNELS lists it. */
export type ChannelEntry = InputOf<typeof channelEntry>

/**
 * Stages of delivery that a relay reports after `accepted`: `mirrored`, on the recipient's disk; `rung`, its idle session
 * was rung; `retrieved`, taken by one of its readers; `in_context`, put into the context of its model; for a task `claimed`,
 * taken by a worker, or `failed`, given up after too many attempts.
 */
const deliveryStates = [
  "mirrored",
  "rung",
  "retrieved",
  "in_context",
  "claimed",
  "failed",
  "expired",
] as const
/** One of {@link deliveryStates}. */
export type DeliveryState = (typeof deliveryStates)[number]

/** States of a deal; `doc/protocol.md` says which statement leads where. */
export const dealStates = ["pending", "accepted", "rejected", "expired", "completed", "disputed"] as const
/** One of {@link dealStates}. */
export type DealState = (typeof dealStates)[number]

const proposalEntry = {
  id: string,
  state: oneOf(dealStates),
  /** Its signed statements, each the answer to the one before. */
  statements: list(anyObject<Statement>()),
  /** The names of its parties at their last statement, by agent id. */
  names: anyObject<Readonly<Record<string, string>>>(),
} as const
/** A deal as PROPOSALS lists it. */
export type ProposalEntry = InputOf<typeof proposalEntry>

const taskEntry = {
  task: string,
  role: string,
  /** The agent that asked. */
  from: agentRef,
  name: string,
  /** Up to 4,000 characters of its text. */
  content: string,
  /** Number of claims so far. */
  attempt: count,
  /** When it was sent. */
  ts: time,
  /** The agent that has it; absent while it waits. */
  worker: optional(agentRef),
  /** Milliseconds that are left of its lease. */
  lease_ms: optional(waitMs),
  ...askedFields,
} as const
/** A task as TASKS lists it. */
export type TaskEntry = InputOf<typeof taskEntry>

const movement = {
  channel,
  agent: agentRef,
  name: string,
  ts: time,
  /** All agents, if there are several. */
  agents: optional(list(openObject({ id: agentRef, name: string }))),
} as const

const relayed = {
  re,
  msg_id: string,
  /** The current name of `from`. */
  name: string,
  /** Of the deal, after this statement. */
  state: oneOf(dealStates),
} as const

/** A relayed statement. Its members are checked where its signature is; until then they only have the right kind. */
function relayedStatement(verb: Verb): Fields {
  const body = Object.entries<Schema<unknown>>(statementBodies[verb])
  return {
    ...relayed,
    id: string,
    ...Object.fromEntries(body.map(([name, field]) => [name, looselyAs(field)])),
  }
}

const refusal = openObject({ ...guardFacts, reason: string, retry_after_ms: optional(waitMs) })

/** The declaration of a server message; every list of server messages elsewhere derives from these rows. */
interface ServerRow {
  /** One line for the documentation. */
  readonly summary: string
  /**
   * How a daemon writes the message to the inbox: `unchanged`; `if asked`, unchanged but only as the answer to an
   * outbox line; `edited`, with other fields. Absent if it is not written.
   */
  readonly inbox?: "unchanged" | "if asked" | "edited"
  /** The event of the client library that carries it as it is. */
  readonly event?: string
  readonly fields: Fields
}

/** Every message a relay sends. `ts` is in milliseconds since the Unix epoch, `re` the id of the frame answered. */
export const serverMessages = {
  WELCOME: {
    summary: "the session is established",
    fields: {
      re,
      agent_id: agentRef,
      name: string,
      server: string,
      server_id: string,
      protocol: count,
      limits: openObject(welcomeLimits),
      /** Operators of the relay, by id. */
      operators: optional(list(agentRef)),
      /** The rights of the grants of this agent; only in a closed relay, and not for operators. */
      rights: optional(openObject(rights)),
      ts: time,
    },
  },
  CHALLENGE: {
    summary: "prove the key you named",
    fields: { re, challenge_id: string, nonce: string, aud: string, expires_ms: time },
  },
  JOINED: {
    summary: "you are in the channel; the replay follows",
    inbox: "edited",
    fields: {
      re,
      channel: subscription,
      agents: list(agentRef),
      roster: list(openObject(rosterEntry)),
      count,
      seq: count,
      invite_only: boolean,
      durable: optional(boolean),
      /** In the answer to CREATE_CHANNEL: true if the channel ends with the relay's process. */
      in_memory: optional(boolean),
      settings: optional(channelSettings),
      /** `since` is of another life of the relay's store, which was emptied or restored from an older copy. */
      reset: optional(boolean),
      /** The pattern that brought this channel; in the answer to a pattern itself, that pattern. */
      pattern: optional(string),
    },
  },
  LEFT: { summary: "you are no longer in the channel", fields: { re, channel: subscription } },
  MSG: {
    summary: "a message for you",
    inbox: "edited",
    fields: {
      from: agentRef,
      name: string,
      to: address,
      content: string,
      ts: time,
      msg_id: string,
      hops: count,
      seq: optional(count),
      replay: optional(boolean),
      wait_ms: optional(waitMs),
      mentions: optional(list(string)),
      ...authored,
      sig: optional(string),
      trace: optional(string),
      /** The proof of an answer to a task that asks for one of several answers, or asks people. */
      answer: optional(answerProof),
    },
  },
  ACK: {
    summary: "your request was carried out",
    fields: {
      re,
      ts: time,
      state: oneOf(["accepted", "done"]),
      msg_id: optional(string),
      seq: optional(count),
      recipients: optional(count),
      /** The agent that `to` of the message means. */
      to: optional(agentRef),
      /** Facts about that agent; absent in the answer to a message sent again. */
      target: optional(openObject(targetFacts)),
      ...succession,
      member: optional(boolean),
      duplicate: optional(boolean),
      /** Scopes that RESET_GUARD lifted. */
      lifted: optional(list(string)),
      /** Paths that RELEASE_PATHS released. */
      released: optional(list(string)),
    },
  },
  GRANTS: {
    summary: "the grants that were used, and by whom",
    inbox: "if asked",
    fields: { re, list: list(object({ grant, keys: list(agentRef), revoked: optional(boolean) })) },
  },
  CHANNELS: {
    summary: "the channels you may see",
    inbox: "if asked",
    fields: { re, list: list(openObject(channelEntry)), defaults: optional(channelSettings) },
  },
  CHANNEL_CHANGED: {
    summary: "the settings of one of your channels changed",
    inbox: "unchanged",
    event: "channel_changed",
    fields: { channel, by: agentRef, settings: channelSettings, ts: time },
  },
  CLAIMS: {
    summary: "the claims you asked for, or yours",
    inbox: "if asked",
    fields: { re, list: list(claimEntry) },
  },
  CLAIMS_CHANGED: {
    summary: "the claims of a repository, after a change",
    fields: { repo: string, list: list(claimEntry) },
  },
  TASK: {
    summary: "work for your role, yours until the lease ends",
    inbox: "edited",
    event: "task",
    fields: {
      re,
      task: string,
      role: string,
      from: agentRef,
      name: string,
      content: string,
      lease_ms: waitMs,
      attempt: count,
      ...authored,
      ts: time,
      ...askedFields,
      /** True for a task that nobody has: answer it, or leave it to others with the role. */
      offered: optional(boolean),
    },
  },
  TASKS: {
    summary: "the tasks you asked for that you may see, oldest first",
    /** With `more`, there are others. */
    fields: { re, list: list(openObject(taskEntry)), more: optional(boolean) },
  },
  TASK_LOST: {
    summary: "a task is no longer yours",
    inbox: "edited",
    event: "task_lost",
    fields: { task: string, reason: string, ts: time },
  },
  TASK_EXPIRED: {
    summary: "a task of yours was not answered in time",
    inbox: "unchanged",
    event: "task_expired",
    fields: {
      task: string,
      role: string,
      /** The default answer. */
      answer: optional(string),
      ts: time,
      msg_id: string,
    },
  },
  PENDING: {
    summary: "what is waiting, and for whom",
    inbox: "if asked",
    fields: {
      re,
      target: recipient,
      count,
      ids: list(string),
      oldest_ts: optional(time),
      claimed: optional(count),
      ...succession,
    },
  },
  AGENTS: {
    summary: "the agents you asked for",
    inbox: "if asked",
    fields: {
      re,
      channel: optional(channel),
      list: list(agentRef),
      roster: list(openObject(rosterEntry)),
      ...succession,
    },
  },
  AGENT_JOINED: {
    summary: "agents joined one of your channels",
    inbox: "unchanged",
    event: "agent_joined",
    fields: movement,
  },
  AGENT_LEFT: {
    summary: "agents left one of your channels",
    inbox: "unchanged",
    event: "agent_left",
    fields: movement,
  },
  PRESENCE_CHANGED: {
    summary: "the status of an agent that shares a channel with you changed",
    event: "presence",
    fields: {
      agent: agentRef,
      name: string,
      status: string,
      activity: optional(string),
      role: optional(string),
      ts: time,
    },
  },
  INVITE: {
    summary: "you may join an invite-only channel",
    inbox: "unchanged",
    event: "invite",
    fields: { channel, from: agentRef, name: string, ts: time, msg_id: optional(string) },
  },
  MODERATION: {
    summary: "an operator has done something that concerns you or your channel",
    inbox: "unchanged",
    event: "moderation",
    fields: {
      action: string,
      channel: optional(channel),
      agent: optional(agentRef),
      writers: optional(writers),
      by: agentRef,
      reason: string,
      until: optional(time),
      ts: time,
    },
  },
  AUDIT: {
    summary: "the actions of operators, the oldest first",
    inbox: "if asked",
    /** With `more`, ask again from the last number on. */
    fields: { re, server_id: string, list: list(auditEntry), more: optional(boolean) },
  },
  MESSAGES: {
    summary: "messages that were found, the oldest first",
    inbox: "if asked",
    /** MSG messages, those of channels with `seq`. `more`: ask again from `next` on. `end`: what comes later is new. */
    fields: {
      re,
      list: list(anyObject()),
      next: count,
      end: count,
      more: optional(boolean),
      /** Not all messages were searched: the relay has no index, or has not finished it. */
      partial: optional(boolean),
    },
  },
  DELIVERY: {
    summary: "a message of yours reached the next stage of delivery",
    event: "delivery",
    fields: {
      msg_id: string,
      state: oneOf(deliveryStates),
      by: recipient,
      ts: time,
      reason: optional(string),
      /** How the session was rung, or what put the message into its context. */
      method: optional(string),
      /** The id to confirm this notice with; absent if the relay does not keep it. */
      mail_id: optional(string),
    },
  },
  PROPOSAL: {
    summary: "an agent offers or asks for work",
    inbox: "edited",
    fields: relayedStatement("PROPOSAL"),
  },
  ACCEPT: { summary: "a proposal is accepted", inbox: "edited", fields: relayedStatement("ACCEPT") },
  REJECT: { summary: "a proposal is rejected", inbox: "edited", fields: relayedStatement("REJECT") },
  COMPLETE: {
    summary: "one party states that the work is done",
    inbox: "edited",
    fields: relayedStatement("COMPLETE"),
  },
  DISPUTE: {
    summary: "one party states that the work is not done as agreed",
    inbox: "edited",
    fields: relayedStatement("DISPUTE"),
  },
  PROPOSALS: {
    summary: "your proposals with all their signed statements",
    /** With `more`, ask again from the time of the last statement on. */
    fields: { re, list: list(openObject(proposalEntry)), more: optional(boolean) },
  },
  SESSION_DISPLACED: {
    summary: "your identity connected elsewhere; this session ends",
    fields: { reason: string, process: optional(string), ts: time },
  },
  ERROR: {
    summary: "your request was refused",
    fields: {
      re,
      code: string,
      message: string,
      retry_after_ms: optional(waitMs),
      candidates: optional(list(string)),
      hint: optional(string),
      guard: optional(openObject(guardFacts)),
      /** With KEY_ENDED: the statement that ended the key. */
      key_end: optional(keyStatement),
    },
  },
  GUARD: {
    summary: "a guard warns you, stopped you, or lets you continue",
    inbox: "edited",
    event: "guard",
    fields: {
      ...guardFacts,
      /** `warned`: further messages will wake nobody; `tripped`: they are refused; `lifted`: they pass again. */
      state: oneOf(["warned", "tripped", "lifted"]),
      reason: string,
      retry_after_ms: optional(waitMs),
      ts: time,
    },
  },
  GUARDS: {
    summary: "what the guards have counted",
    inbox: "if asked",
    fields: { re, agent: agentRef, list: list(openObject(guardUsage)), ...succession },
  },
  FORECAST: {
    summary: "what a message would do",
    inbox: "if asked",
    fields: {
      re,
      to: string,
      recipients: count,
      /** The recipients that would be woken. */
      woken: list(agentRef),
      /** Tokens all recipients together would read. */
      tokens: count,
      guards: list(openObject(guardUsage)),
      refused: optional(refusal),
      ...succession,
    },
  },
  PONG: { summary: "a sign of life", fields: { re, ts: time } },
} as const satisfies Record<string, ServerRow>

type Rows = typeof serverMessages

/** Name of a server message. */
export type ServerType = keyof Rows

type RelayedStatement<V extends Verb> = InputOf<typeof relayed> & Omit<Statement<V>, "type">

/** A message from a relay, of type `T`. */
export type ServerMessage<T extends ServerType = ServerType> = {
  [K in T]: { readonly type: K } & (K extends Verb ? RelayedStatement<K> : InputOf<Rows[K]["fields"]>)
}[T]

/** The client library's events that carry a server message as it is, by name. */
export type ServerEvents = {
  [K in ServerType as Rows[K] extends { readonly event: infer E extends string } ? E : never]: [
    event: ServerMessage<K>,
  ]
}

/** Reports whether `text` names a server message. */
export function isServerType(text: string): text is ServerType {
  return Object.hasOwn(serverMessages, text)
}
