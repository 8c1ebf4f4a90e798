import { ChatError } from "./errors.js"

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** `#` and 1–64 characters: segments of letters, digits, `_`, `-`, joined by single dots. */
export type Channel = Branded<"Channel">
/** `@` and 16 hex digits (a key's fingerprint), or a digit and 7 characters of base32 (given for one session). */
export type AgentId = Branded<"AgentId">
/** The name of an agent: a letter or digit, then up to 63 of letters, digits, `.`, `_`, `-`. */
export type Nick = Branded<"Nick">
/** A daemon's name on this machine; becomes a directory name. Same form as a nick. */
export type InstanceName = Branded<"InstanceName">
/** `@` and an agent id or a nick, as a sender writes it. */
export type AgentRef = Branded<"AgentRef">
/** `+` and a role: one free agent of that role. */
export type RoleRef = Branded<"RoleRef">
/** The address of a message: a channel, an agent, or a role. */
export type Address = Channel | AgentRef | RoleRef
/** A channel name with `*` for any one level, or `>` as the last level for all that follow. */
export type ChannelPattern = Branded<"ChannelPattern">

export const channelPattern = /^#(?=.{1,64}$)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
export const nickPattern = /^(?!(?:[0-9A-Fa-f]{16}|[2-7][A-Za-z2-7]{7})$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const agentRefPattern = /^@[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const roleRefPattern = /^\+[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const addressPattern = new RegExp(
  `${channelPattern.source}|${agentRefPattern.source}|${roleRefPattern.source}`,
)
/** A name, or a pattern with at least one `*` level or a last `>`. */
export const subscriptionPattern = /^#(?=.{1,64}$)(?:(?:[A-Za-z0-9_-]+|\*)\.)*(?:[A-Za-z0-9_-]+|\*|>)$/
/** The agent id of a key. */
export const persistentIdPattern = /^@[0-9a-f]{16}$/
/** Either form of an agent id, in any case. A reference of this form is never a name. */
export const agentIdPattern = /^@(?:[0-9A-Fa-f]{16}|[2-7][A-Za-z2-7]{7})$/

/** Parses a channel name. Repairs nothing. @throws {ChatError} INVALID_NAME */
export function parseChannel(text: string): Channel {
  if (channelPattern.test(text)) return text as Channel
  const hint = text.startsWith("#") ? undefined : `write it with its #: "#${excerpt(text)}"`
  throw invalid("channel", text, "# and 1-64 letters, digits, _ or -, with single dots between levels", hint)
}

/** Parses a channel name or pattern. @throws {ChatError} INVALID_NAME */
export function parseSubscription(text: string): Channel | ChannelPattern {
  if (subscriptionPattern.test(text)) return text as Channel | ChannelPattern
  return parseChannel(text)
}

/** Reports whether `text` is a pattern rather than a channel name. */
export function isChannelPattern(text: string): text is ChannelPattern {
  return subscriptionPattern.test(text) && !channelPattern.test(text)
}

/** Reports whether a channel matches a pattern: `*` is any one level, a last `>` one or more. */
export function matchesChannel(pattern: ChannelPattern, channel: Channel): boolean {
  // Level by level and without lists: one LEAVE may compare a thousand channels with a hundred patterns.
  for (let [at, from] = [1, 1]; ; ) {
    if (pattern[at] === ">") return true
    const [wantedEnd, end] = [endOfLevel(pattern, at), endOfLevel(channel, from)]
    const isAny = pattern[at] === "*"
    if (!isAny && (wantedEnd - at !== end - from || !channel.startsWith(pattern.slice(at, wantedEnd), from)))
      return false
    if (wantedEnd === pattern.length || end === channel.length)
      return wantedEnd === pattern.length && end === channel.length
    at = wantedEnd + 1
    from = end + 1
  }
}

/** Reports whether a channel is one of some names and patterns. */
export function matchesAny(patterns: Iterable<Channel | ChannelPattern>, channel: Channel): boolean {
  for (const each of patterns) {
    if (isChannelPattern(each) ? matchesChannel(each, channel) : each === channel) return true
  }
  return false
}

function endOfLevel(name: string, at: number): number {
  const end = name.indexOf(".", at)
  return end < 0 ? name.length : end
}

/** Returns the id that a reference has the form of, in lower case; undefined for a name. */
export function agentIdIn(ref: string): AgentId | undefined {
  return agentIdPattern.test(ref) ? (ref.toLowerCase() as AgentId) : undefined
}

/** Returns what to do about a name that meant an agent before, and means the agent `now`. */
export function hintForOtherBearer(name: string, before: string, now: string): string {
  if (persistentIdPattern.test(before)) return "use an id"
  return `an agent without a key has a new id in each session: if this is the same one, write to ${now} once, and ${name} means it from then on`
}

/** Parses the name of an agent. @throws {ChatError} INVALID_NAME, also if it has the form of an agent id */
export function parseNick(text: string): Nick {
  if (nickPattern.test(text)) return text as Nick
  if (agentIdPattern.test(`@${text}`)) {
    const form = "16 hex digits, or 8 letters and digits of which the first is 2-7"
    throw new ChatError("INVALID_NAME", `name: "${text}" has the form of an agent id: ${form}`, {
      hint: `choose another one, such as "${text}-agent"`,
    })
  }
  throw invalid("name", text, "1-64 letters, digits, . _ or -, the first a letter or digit")
}

/** Parses the name of a daemon. @throws {ChatError} INVALID_NAME if it is not safe as a directory name */
export function parseInstanceName(text: string): InstanceName {
  return parseNick(text) as string as InstanceName
}

/** Parses a `#channel`, an `@agent` or a `+role`. @throws {ChatError} INVALID_NAME */
export function parseAddress(text: string): Address {
  if (text.startsWith("#")) return parseChannel(text)
  if (roleRefPattern.test(text)) return text as RoleRef
  if (agentRefPattern.test(text)) return text as AgentRef
  const message = `to: ${excerpt(text)} is neither a #channel nor an @agent nor a +role`
  const isBare = agentRefPattern.test(`@${text}`)
  throw new ChatError("INVALID_NAME", message, isBare ? { hint: `did you mean #${text} or @${text}?` } : {})
}

/** Parses `@` and a name or id. @throws {ChatError} INVALID_NAME */
export function parseAgentRef(text: string): AgentRef {
  if (agentRefPattern.test(text)) return text as AgentRef
  const hint = agentRefPattern.test(`@${text}`) ? `did you mean @${text}?` : undefined
  throw invalid("agent", text, "@ and a name or an agent id", hint)
}

function invalid(field: string, text: string, rule: string, hint?: string): ChatError {
  const message = `${field}: ${JSON.stringify(excerpt(text))} is not allowed, must be ${rule}`
  return new ChatError("INVALID_NAME", message, hint === undefined ? {} : { hint })
}

/** Shortens text that an error quotes to 70 characters. */
export function excerpt(text: string): string {
  return text.length > 70 ? `${text.slice(0, 67)}...` : text
}
