import type { Kind } from "../protocol/message-kinds.js"

/** What a guard knows of a message before it is taken. Agents are their ids, with `@`. */
export interface GuardMessage {
  /** `msg_id`. */
  readonly id: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly from: string
  /** Where it is said: `#channel`, `+role`, or of a direct message both ids, sorted and joined by a space. */
  readonly room: string
  /** Whom it is put to: the recipient of a direct message, the agents mentioned. */
  readonly to: readonly string[]
  /** Sessions it goes to. */
  readonly recipients: number
  readonly kind?: Kind | undefined
  /** `in_reply_to`, as the author wrote it. */
  readonly answers?: string | undefined
  readonly text: string
  /** Of the whole frame. */
  readonly bytes: number
}

/** A message that is still remembered. */
export interface Parent {
  readonly id: string
  readonly from: string
  readonly kind: Kind | undefined
  /** It asks something: whatever answers it is no mere courtesy. */
  readonly asks: boolean
}

/** A message and where it comes from, as the guard worked it out: an author cannot change that by leaving it out. */
export interface Traced extends GuardMessage {
  /** What it answers: what `in_reply_to` names, or what it plainly follows from; undefined: it begins something. */
  readonly parent: Parent | undefined
  /** Messages between the beginning and this one, less those that time has taken off. */
  readonly hops: number
  /** The same, exactly. */
  readonly chain: number
  /** Authors of those, each once for each message, oldest first. */
  readonly via: readonly string[]
  /** Ids of what led to it, newest last, at most ten; looked up when they are asked for. */
  readonly trail: () => readonly string[]
  /** `kind`, or `ack` where the text is nothing but courtesy. */
  readonly kind: Kind | undefined
  /** The text is nothing but courtesy, and its author called it something else. */
  readonly isCourtesy: boolean
  /** Agents whose last word to the author this one answers: it is a turn of each such pair. */
  readonly turnsWith: readonly string[]
  /** The author comes back to speak in the room after others who came back too: 1; after its own words came back: 2. */
  readonly returns: number
  /** Nobody else has spoken in the room since the author did, and it did not so just now. */
  readonly goesOn: boolean
  /** The author speaks in the room without regard to the others, as a feed does. */
  readonly isFeed: boolean
}

/** Names of the layers, in the order in which they are asked. */
export const ruleNames = [
  "kind",
  "hops",
  "pair",
  "conversation",
  "slow",
  "same",
  "floor",
  "mentions",
  "wakes",
  "budget",
  "deals",
] as const
/** One of {@link ruleNames}. */
export type RuleName = (typeof ruleNames)[number]

/** Why a message is refused. */
export interface Trip {
  readonly layer: RuleName
  /** Who or what is stopped, such as `@a @b`, `#room`, `@a in #room`. */
  readonly scope: string
  /** One sentence for the author: what was found, and what to do instead. */
  readonly reason: string
  /** When the same may pass by itself; undefined: not before somebody lifts it. */
  readonly retryAfterMs: number | undefined
  readonly liftedBy: "time" | "operator" | "progress"
  /** The messages that led to it, newest last, at most ten. */
  readonly evidence: readonly string[]
}

/** Why what follows will be refused before long. */
export interface Warning {
  readonly layer: RuleName
  readonly scope: string
  readonly reason: string
}

/** How much of a layer is used. */
export interface Usage {
  readonly layer: RuleName
  readonly scope: string
  readonly used: number
  readonly limit: number
  /** Milliseconds until there is more; undefined: not by itself. */
  readonly freeInMs: number | undefined
  readonly isTripped: boolean
}

/** One rule. It is handed the time with each message and does nothing by itself. */
export interface Rule {
  readonly name: RuleName
  /** Why the message is to be refused; changes nothing. */
  check(said: Traced): Trip | undefined
  /** The message was taken. Gives a warning when it is the one that makes it necessary. */
  note(said: Traced): Warning | undefined
  /** The message was refused for `trip`, which this layer gave. */
  refuse?(said: Traced, trip: Trip): void
  /** Work was shown to be done by these agents: what idle talk used up is theirs again. */
  refill?(agents: readonly string[], ts: number): void
  /** An operator spoke in `room`. */
  spoke?(room: string, ts: number): void
  /** An operator lifts what stopped `scope`; undefined: everything. */
  reset(scope: string | undefined): void
  /** What concerns an agent. */
  usage(agent: string, ts: number): Usage[]
  /** Does some of what {@link save} would have to, a millisecond of it. Gives whether that was all. */
  prepare?(): boolean
  /** The state as plain data, bounded in size. */
  save(): unknown
  /** Takes over what {@link save} gave; anything else is as good as nothing. */
  load(state: unknown): void
}
