/** Actions of operators: who is kept out, who is silenced, who may write to a channel. */
import { agentRef, channel, writers } from "./message-fields.js"
import { type InputOf, literal, number, object, oneOf, optional, text } from "./schema.js"

/** Every action, with what it needs and what it lifts. `lasts`: it ends by itself after `until`. */
export const moderationActions = {
  kick: { target: "member", lasts: true, summary: "takes an agent out of a channel, and keeps it out" },
  ban: { target: "agent", lasts: true, summary: "ends the session of an agent, and refuses it" },
  unban: { target: "agent", lasts: false, summary: "lets a banned agent in again" },
  mute: { target: "agent", lasts: true, summary: "refuses everything an agent says" },
  unmute: { target: "agent", lasts: false, summary: "lets a muted agent speak again" },
  close: { target: "channel", lasts: false, summary: "lets only operators write to a channel" },
  reopen: { target: "channel", lasts: false, summary: "ends the closing of a channel" },
  restrict: {
    target: "channel",
    lasts: false,
    summary: "lets only some agents and roles write to a channel",
  },
  unrestrict: { target: "channel", lasts: false, summary: "lets everybody write to a channel again" },
  revoke: { target: "grant", lasts: false, summary: "ends a grant" },
  clear: { target: "channel", lasts: false, summary: "deletes the messages that a channel has kept" },
} as const satisfies Record<string, ActionRow>

interface ActionRow {
  readonly target: "agent" | "channel" | "member" | "grant"
  readonly lasts: boolean
  readonly summary: string
}

/** One of {@link moderationActions}. */
export type ModerationAction = keyof typeof moderationActions

const actions = Object.keys(moderationActions) as ModerationAction[]

/** Characters of a reason. */
export const maxReason = 500

const moderationFields = {
  v: literal(1),
  type: literal("MODERATION"),
  /** Random; an action of a used id is not carried out again. */
  id: text(64, 8),
  action: oneOf(actions),
  /** did:key of the operator. */
  from: text(128),
  /** `server_id` of the relay. */
  aud: text(64),
  /** The id of an agent. */
  agent: optional(agentRef),
  channel: optional(channel),
  /** The id of a grant. */
  grant: optional(text(64)),
  /** For `restrict`, those that may write, next to operators. */
  writers: optional(writers),
  reason: text(maxReason, 1),
  /** When it ends, in milliseconds since the Unix epoch. */
  until: optional(number(0)),
  ts: number(0),
} as const

/** A signed action: detached JWS of the operator over all other members, `typ` `agentchat.moderation+jws`. */
export const moderation = object({ ...moderationFields, sig: text(1024) })
/** A {@link moderation} statement. */
export type Moderation = InputOf<{ readonly one: typeof moderation }>["one"]

/** An entry of the audit log. */
export const auditEntry = object({
  seq: number(1),
  /** base64url of the SHA-256 of the entry before, as canonical JSON; empty for the first. */
  prev: text(64),
  /** When the relay accepted it. */
  ts: number(0),
  statement: moderation,
})
/** An {@link auditEntry}. */
export type AuditEntry = InputOf<{ readonly one: typeof auditEntry }>["one"]
