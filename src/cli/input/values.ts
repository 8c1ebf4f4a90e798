/** Parsers for values of the command line. They are strict, and every error names the option or argument. */
import { closestNames } from "../../base/closest-names.js"
import { maxDurationMs, parseDuration } from "../../base/duration.js"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type Address,
  type AgentRef,
  type Channel,
  type ChannelPattern,
  type InstanceName,
  type Nick,
  parseAddress,
  parseAgentRef,
  parseChannel,
  parseInstanceName,
  parseNick,
  parseSubscription,
  type RoleRef,
  roleRefPattern,
} from "../../protocol/names.js"
import type { Parse } from "../command.js"

/** A text, possibly empty. */
export const anyText: Parse<string> = (text) => text

/** A nonempty text, such as a path. */
export const someText: Parse<string> = (text, label) => {
  if (text === "") throw usage(label, "must not be empty")
  return text
}

/** A text of limited length. */
export function textUpTo(characters: number): Parse<string> {
  return (text, label) => {
    if (text.length <= characters) return text
    throw usage(label, `has ${text.length} characters; at most ${characters} are allowed`)
  }
}

/** A whole number from `min` to `max`, in decimal digits. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): Parse<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
  return (text, label) => {
    const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (number >= min && number <= max) return number
    throw usage(label, `${quote(text)} is not a whole number, ${range}`)
  }
}

/** A TCP port; 0 for any free port. */
export const port: Parse<number> = wholeNumber(0, 65_535)

/** A number of seconds above 0, such as `0.5`, in milliseconds. */
export const seconds: Parse<number> = (text, label) => {
  const ms = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Math.round(Number(text) * 1_000) : Number.NaN
  if (ms > 0 && ms <= maxDurationMs) return ms
  throw usage(label, `${quote(text)} is not a number of seconds above 0, up to ${maxDurationMs / 1_000}`)
}

/** A duration such as `90s`, `10m`, `24h` or `7d`, in milliseconds. */
export const duration: Parse<number> = (text, label) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  throw usage(label, `${quote(text)} is not a time like 90s, 10m, 24h or 7d, up to 3650d`)
}

/** A point in time: a duration before now, or a date of ISO 8601. Returns it in milliseconds since the Unix epoch. */
export const pastTime: Parse<(nowMs: number) => number> = (text, label) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return (nowMs) => Math.max(0, nowMs - ms)
  const at = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:\d\d)?)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (at >= 0) return () => at
  throw usage(label, `${quote(text)} is no time like 2h, 7d, 2026-11-30 or 2026-11-30T09:00Z`)
}

/** A time to wait: 0, a duration as {@link duration} reads it, or a number of seconds; in milliseconds. */
export const waitTime: Parse<number> = (text, label) => {
  if (text === "0") return 0
  return /[a-z]$/.test(text) ? duration(text, label) : seconds(text, label)
}

const secondsOfUnit = new Map([
  ["s", 1],
  ["min", 60],
  ["h", 3_600],
])

/** The lowest rate, one message a day: waits for the largest messages stay within {@link maxDurationMs}. */
const leastPerSecond = 1 / 86_400

/** A rate such as `1/s`, `30/min` or `100/h`, in messages per second. */
export const rate: Parse<number> = (text, label) => {
  const [, digits = "", unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)\/(s|min|h)$/.exec(text) ?? []
  const perSecond = Number(digits) / (secondsOfUnit.get(unit) ?? Number.NaN)
  if (perSecond >= leastPerSecond) return perSecond
  throw usage(label, `${quote(text)} is not a rate like 1/s, 30/min or 100/h, at least one message a day`)
}

/** One of several words. */
export function choice<const Words extends readonly string[]>(words: Words): Parse<Words[number]> {
  return (text, label) => {
    if (words.includes(text)) return text
    throw usage(label, `${quote(text)} is not one of ${words.join(", ")}`)
  }
}

/** One of several words. The error suggests the word closest to a misspelled one. */
export function closeChoice<const Words extends readonly string[]>(words: Words): Parse<Words[number]> {
  return (text, label) => {
    if (words.includes(text)) return text
    const candidates = closestNames(text, words)
    throw new ChatError("USAGE", `${label}: ${quote(text)} is not one of ${words.join(", ")}`, { candidates })
  }
}

export const address: Parse<Address> = (text, label) => named(label, () => parseAddress(text))
export const subscription: Parse<Channel | ChannelPattern> = (text, label) =>
  named(label, () => parseSubscription(text))
/** An agent or a role. */
export const worker: Parse<AgentRef | RoleRef> = (text, label) =>
  roleRefPattern.test(text) ? (text as RoleRef) : agentRef(text, label)
export const channel: Parse<Channel> = (text, label) => named(label, () => parseChannel(text))
export const agentRef: Parse<AgentRef> = (text, label) => named(label, () => parseAgentRef(text))
export const instanceName: Parse<InstanceName> = (text, label) => named(label, () => parseInstanceName(text))
export const nick: Parse<Nick> = (text, label) => named(label, () => parseNick(text))

/** The origin of web pages: a scheme, a host, and a port unless it is the usual one. */
export const origin: Parse<string> = (text, label) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.origin === text.replace(/\/$/, "") && /^https?:/.test(text)) return url.origin
  throw usage(label, `${quote(text)} is no origin; write scheme and host, such as https://chat.example.org`)
}

/** A http:// or https:// address, perhaps with a path; without the slash at its end. */
export const httpUrl: Parse<string> = (text, label) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlainUrl = url !== undefined && /^https?:$/.test(url.protocol) && !/[?#@]/.test(text)
  if (isPlainUrl) return url.href.replace(/\/$/, "")
  throw usage(label, `${quote(text)} is no address; write http:// or https://, a host, and perhaps a path`)
}

/** The name of a role. */
export const role: Parse<string> = (text, label) => nick(text, label)

/** Replaces the field name in the error of a name parser by the label. */
export function named<T>(label: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    const message = `${label}: ${error.message.replace(/^[a-z]+: /, "")}`
    throw new ChatError(error.code, message, omitUndefined({ hint: error.hint }))
  }
}

function usage(label: string, problem: string): ChatError {
  return new ChatError("USAGE", `${label}: ${problem}`)
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text)
}
