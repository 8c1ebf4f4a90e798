import type { Kind } from "../protocol/message-kinds.js"

/** A message as the guards see it before it is accepted. Agents are ids with `@`. */
export interface GuardMessage {
  /** `msg_id`. */
  readonly id: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly from: string
  /**
   * The address of an author without a key, or with a new one: everybody from there counts together in a channel, and
   * apart from other authors. Undefined for an author that counts by itself.
   */
  readonly sharedOrigin?: string | undefined
  /** `#channel` or `+role`; for a direct message both ids, sorted and joined by a space. */
  readonly channel: string
  /** Agents the message is addressed to: the recipient of a direct message, or the agents mentioned. */
  readonly to: readonly string[]
  readonly kind?: Kind | undefined
  /** `in_reply_to`, as the author wrote it. */
  readonly answers?: string | undefined
  /** Everything a reader has to read. */
  readonly text: string
  /** Length of `text` in UTF-8. */
  readonly bytes: number
}

/** Names of the rules for messages in the order in which they are asked, then the rule for proposals. */
export const ruleNames = ["conversation", "slow", "same", "mentions", "wakes", "budget", "deals"] as const
/** One of {@link ruleNames}. */
export type RuleName = (typeof ruleNames)[number]

/** The reason a message is refused. */
export interface Trip {
  readonly layer: RuleName
  /** The agents or the channel stopped; see `scopes.ts`. */
  readonly scope: string
  /** One sentence for the author: what was found, and what to do instead. */
  readonly reason: string
  /** Milliseconds until the same message may pass. */
  readonly retryAfterMs: number
  readonly liftedBy: "time" | "operator" | "progress"
  /** Ids of the messages that led to it, newest last, at most ten. */
  readonly evidence: readonly string[]
}

/** A count has reached a share of its limit. */
export interface Warning {
  readonly layer: RuleName
  readonly scope: string
  readonly reason: string
}

/** How much of a limit is used. */
export interface Usage {
  readonly layer: RuleName
  readonly scope: string
  readonly used: number
  readonly limit: number
  /** Milliseconds until less is used. */
  readonly freeInMs: number
  readonly isTripped: boolean
}

/** Messages named as evidence. */
const evidenceLength = 10

/** Adds a message to the evidence of a count. */
export function pushEvidence(ids: string[], messageId: string): void {
  ids.push(messageId)
  if (ids.length > evidenceLength) ids.shift()
}
