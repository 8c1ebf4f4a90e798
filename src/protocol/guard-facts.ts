import { maxDurationMs } from "../base/duration.js"
import { boolean, type InputOf, list, number, oneOf, optional, string } from "./schema.js"

/** The guard that a daemon keeps for its own agent; no relay may report it. */
export const daemonLayer = "breaker"

/** A length of time in milliseconds. */
export const waitMs = number(0, maxDurationMs)

export const guardFacts = {
  /** The rule, such as `same` or `rate`; `doc/guards.md` lists them. */
  layer: string,
  /** The agents or the channel that are stopped, such as `@a @b` or `@a in #general`. */
  scope: string,
  lifted_by: oneOf(["time", "operator", "progress"]),
  /** Ids of the messages that led to it. */
  evidence: list(string),
} as const
/** Why a guard stopped something, as in GUARD and ERROR. */
export type GuardFacts = InputOf<typeof guardFacts>

export const guardUsage = {
  layer: string,
  scope: string,
  used: number(),
  limit: number(),
  /** Milliseconds until more is free. */
  free_in_ms: optional(waitMs),
  tripped: boolean,
} as const
/** How much of a guard's limit is used. */
export type GuardUsage = InputOf<typeof guardUsage>
