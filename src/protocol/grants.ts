/** Rights that an operator signs for an agent. */
import { type Channel, type ChannelPattern, subscriptionPattern } from "./names.js"
import {
  list,
  literal,
  matching,
  number,
  type OutputOf,
  object,
  oneOf,
  optional,
  text,
  whole,
} from "./schema.js"

/** The kinds of agents, and their rights besides entering. `isListed`: it is in the roster, and gets direct mail. */
export const profiles = {
  agent: { isListed: true, writes: true, direct: true, works: true, readsAll: false },
  guest: { isListed: true, writes: true, direct: false, works: false, readsAll: false },
  observer: { isListed: false, writes: false, direct: false, works: false, readsAll: false },
  admin: { isListed: false, writes: false, direct: false, works: false, readsAll: true },
} as const satisfies Record<string, ProfileRow>

interface ProfileRow {
  readonly isListed: boolean
  readonly writes: boolean
  readonly direct: boolean
  readonly works: boolean
  readonly readsAll: boolean
}

/** One of {@link profiles}. */
export type Profile = keyof typeof profiles

/** Most patterns or roles of a grant. */
const maxNames = 32
/** Most keys that may use one grant, as commands make them. */
export const maxUses = 10_000
/** Most grants that a client shows a relay. */
export const maxGrants = 8

const pattern = matching<Channel | ChannelPattern>(
  subscriptionPattern,
  "must be a #channel, or a pattern with * for one level or a last >",
)

/** A signed grant: detached JWS of an operator over all other members, `typ` `agentchat.grant+jws`. */
export const grant = object({
  v: literal(1),
  type: literal("GRANT"),
  /** Random. */
  id: text(64, 8),
  /** did:key of the operator. */
  from: text(128),
  /** `server_id` of the relay. */
  aud: text(64),
  /** did:key of the agent; absent: whoever shows it first, as often as `uses` says. */
  to: optional(text(128)),
  /** A name for people. */
  name: optional(text(64)),
  profile: oneOf(Object.keys(profiles) as Profile[]),
  read: list(pattern, maxNames),
  write: list(pattern, maxNames),
  /** Roles it may serve; `*` for any. */
  roles: list(text(64), maxNames),
  /** Keys that may use it, if it has no `to`. */
  uses: optional(whole(1)),
  /** When it ends, in milliseconds since the Unix epoch. */
  exp: optional(number(0)),
  ts: number(0),
  sig: text(1024),
})
/** The rights of several grants together, as WELCOME has them. */
export const rights = {
  profile: text(16),
  read: list(text(64)),
  write: list(text(64)),
  roles: list(text(64)),
  /** When the first of them ends. */
  exp: optional(number(0)),
} as const

/** A {@link grant}. */
export type Grant = OutputOf<{ readonly one: typeof grant }>["one"]
