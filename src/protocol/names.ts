import { ChatError } from "./errors.js"

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** `#` and 1–64 characters: segments of letters, digits, `_`, `-`, joined by single dots. */
export type Channel = Branded<"Channel">
/** `@` and 16 hex digits (a key's fingerprint) or 8 characters of base32 (given for one session). */
export type AgentId = Branded<"AgentId">
/** What an agent calls itself: a letter or digit, then up to 63 of letters, digits, `.`, `_`, `-`. */
export type Nick = Branded<"Nick">
/** A daemon's name on this machine; becomes a directory name. Same form as a nick. */
export type InstanceName = Branded<"InstanceName">
/** `@` and an agent id or a nick, as a sender writes it. */
export type AgentRef = Branded<"AgentRef">
/** `+` and the role of the agents of whom one is to do the work. */
export type RoleRef = Branded<"RoleRef">
/** A message's address: a channel, an agent, or whoever is free for a role. */
export type Address = Channel | AgentRef | RoleRef
/** A channel name some of whose levels are `*` (any one), or whose last is `>` (all that follow). */
export type ChannelPattern = Branded<"ChannelPattern">

export const channelPattern = /^#(?=.{1,64}$)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
export const nickPattern = /^(?![0-9a-f]{16}$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const agentRefPattern = /^@[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const roleRefPattern = /^\+[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const addressPattern = new RegExp(
  `${channelPattern.source}|${agentRefPattern.source}|${roleRefPattern.source}`,
)
/** A name, or a pattern with at least one `*` level or a last `>`. */
export const subscriptionPattern = /^#(?=.{1,64}$)(?:(?:[A-Za-z0-9_-]+|\*)\.)*(?:[A-Za-z0-9_-]+|\*|>)$/
/** A key's agent id as it stands after `@`. */
export const persistentIdPattern = /^@[0-9a-f]{16}$/

/** @throws {ChatError} INVALID_NAME when `text` is no channel name; nothing is repaired. */
export function parseChannel(text: string): Channel {
  if (channelPattern.test(text)) return text as Channel
  const hint = text.startsWith("#") ? undefined : `write it with its mark: "#${excerpt(text)}"`
  throw invalid("channel", text, "# and 1-64 letters, digits, _ or -, with single dots between levels", hint)
}

/** @throws {ChatError} INVALID_NAME when `text` is neither a channel name nor a pattern of names. */
export function parseSubscription(text: string): Channel | ChannelPattern {
  if (subscriptionPattern.test(text)) return text as Channel | ChannelPattern
  return parseChannel(text)
}

/** Whether `text` stands for several channels. */
export function isChannelPattern(text: string): text is ChannelPattern {
  return subscriptionPattern.test(text) && !channelPattern.test(text)
}

/** Whether a channel is one of those a pattern stands for: `*` is any one level, a last `>` one or more. */
export function matchesChannel(pattern: ChannelPattern, channel: Channel): boolean {
  const wanted = pattern.slice(1).split(".")
  const levels = channel.slice(1).split(".")
  if (wanted.at(-1) === ">") {
    const head = wanted.slice(0, -1)
    return levels.length > head.length && isSamePath(head, levels.slice(0, head.length))
  }
  return levels.length === wanted.length && isSamePath(wanted, levels)
}

function isSamePath(wanted: readonly string[], levels: readonly string[]): boolean {
  return wanted.every((level, i) => level === "*" || level === levels[i])
}

/** @throws {ChatError} INVALID_NAME when `text` is no nick, or looks like a key's agent id. */
export function parseNick(text: string): Nick {
  if (nickPattern.test(text)) return text as Nick
  throw invalid(
    "name",
    text,
    "1-64 letters, digits, . _ or -, the first a letter or digit, not 16 hex digits",
  )
}

/** @throws {ChatError} INVALID_NAME when `text` cannot safely become a directory name. */
export function parseInstanceName(text: string): InstanceName {
  if (nickPattern.test(text)) return text as InstanceName
  throw invalid(
    "name",
    text,
    "1-64 letters, digits, . _ or -, the first a letter or digit, not 16 hex digits",
  )
}

/** @throws {ChatError} INVALID_NAME when `text` is no channel, no `@` and a name or id, and no `+` and a role. */
export function parseAddress(text: string): Address {
  if (text.startsWith("#")) return parseChannel(text)
  if (roleRefPattern.test(text)) return text as RoleRef
  if (agentRefPattern.test(text)) return text as AgentRef
  const message = `to: ${excerpt(text)} is neither a #channel nor an @agent nor a +role`
  const isBare = agentRefPattern.test(`@${text}`)
  throw new ChatError("INVALID_NAME", message, isBare ? { hint: `did you mean #${text} or @${text}?` } : {})
}

/** @throws {ChatError} INVALID_NAME when `text` is not `@` and a name or id. */
export function parseAgentRef(text: string): AgentRef {
  if (agentRefPattern.test(text)) return text as AgentRef
  const hint = agentRefPattern.test(`@${text}`) ? `did you mean @${text}?` : undefined
  throw invalid("agent", text, "@ and a name or an agent id", hint)
}

function invalid(field: string, text: string, rule: string, hint?: string): ChatError {
  const message = `${field}: ${JSON.stringify(excerpt(text))} is not allowed; it must be ${rule}`
  return new ChatError("INVALID_NAME", message, hint === undefined ? {} : { hint })
}

function excerpt(text: string): string {
  return text.length > 70 ? `${text.slice(0, 67)}...` : text
}
