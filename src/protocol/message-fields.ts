import * as v from "valibot"
import {
  type Address,
  type AgentRef,
  addressPattern,
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

/** What an agent calls itself. */
export const nick = v.pipe(
  v.string(),
  v.regex(nickPattern, "must be 1-64 letters, digits, . _ - and not look like an agent id"),
  v.transform((text) => text as Nick),
)
/** A channel by name. */
export const channel = v.pipe(
  v.string(),
  v.regex(channelPattern, "must be # and 1-64 letters, digits, _ - with single dots"),
  v.transform((text) => text as Channel),
)
/** An agent by name or id. */
export const agentRef = v.pipe(
  v.string(),
  v.regex(agentRefPattern, "must be @ and a name or an agent id"),
  v.transform((text) => text as AgentRef),
)
/** Where a message goes. */
export const address = v.pipe(
  v.string(),
  v.regex(addressPattern, "must be a #channel, an @agent or a +role"),
  v.transform((text) => text as Address),
)
/** What is joined: a channel, or all that fit a pattern. */
export const subscription = v.pipe(
  v.string(),
  v.regex(subscriptionPattern, "must be a #channel, or a pattern with * for one level or a last >"),
  v.transform((text) => text as Channel | ChannelPattern),
)
/** Whom something waits for. */
export const waitingFor = v.pipe(
  v.string(),
  v.regex(new RegExp(`${agentRefPattern.source}|${roleRefPattern.source}`), "must be an @agent or a +role"),
  v.transform((text) => text as AgentRef | RoleRef),
)
/** A text of at most so many characters. */
export const shortText = (characters: number) =>
  v.pipe(v.string(), v.maxLength(characters, `must be at most ${characters} characters`))
/** What an agent works as. */
export const role = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1-64 letters, digits, . _ -"),
)
/** A whole number from 0. */
export const count = v.pipe(
  v.number("must be a number"),
  v.safeInteger("must be a whole number"),
  v.minValue(0, "must not be negative"),
)
/** The id of a message, or of the task it became. */
export const messageId = shortText(130)

/** A list of at most 32. */
export const listOf = <Member extends v.GenericSchema>(member: Member) =>
  v.pipe(v.array(member), v.maxLength(32, "must have at most 32 members"))
