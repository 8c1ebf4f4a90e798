import { agentRef } from "./message-fields.js"
import {
  boolean,
  either,
  type Fields,
  literal,
  matching,
  number,
  type OutputOf,
  oneOf,
  optional,
  text,
  whole,
} from "./schema.js"
import { faults, type Verb } from "./verbs.js"

/** Default of `expires` and `dispute_window`, in seconds: 7 days. */
export const defaultSeconds = 604_800
/** Ten years. */
const maxSeconds = 315_360_000

/** A decimal number as text, so that no reader rounds it: at most 21 digits before the point and 18 after. */
export const amountPattern = /^(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,18})?$/
const amountRule = 'must be a decimal number such as "0.05"'
const amount = matching(amountPattern, amountRule)
/** The id of a proposal, which the statements that answer it name as `proposal_id`. */
export const proposalIdSchema = matching(/^[A-Za-z0-9_-]{8,64}$/, "must be 8-64 letters, digits, _ or -")
const statementHash = matching(/^[A-Za-z0-9_-]{43}$/, "must be the base64url of a SHA-256")
const did = matching(/^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$/, "must be a did:key")
const seconds = whole(1, maxSeconds)

const offer = {
  task: text(2_000, 1),
  currency: optional(matching(/^[A-Za-z0-9._-]{1,16}$/, "must be 1-16 letters, digits, . _ or -")),
  payment_code: optional(text(256, 1)),
  terms: optional(text(16_384, 1)),
} as const

/** The members of each answer that its author writes. */
const written = {
  ACCEPT: { payment_code: optional(text(256, 1)) },
  REJECT: { reason: optional(text(500, 1)) },
  COMPLETE: { proof: optional(text(2_000, 1)) },
  DISPUTE: { reason: text(500, 1), fault: optional(oneOf(faults)) },
} as const

/** The members of every statement besides `id` and `type`, which are those of its frame. */
const signed = {
  v: literal(1),
  from: did,
  to: did,
  /** Milliseconds since the Unix epoch. */
  ts: whole(),
  /** `server_id` of the relay the statement is made for. */
  aud: text(64, 1),
  /** Detached JWS over the canonical JSON of all other members. */
  sig: text(1_024),
} as const

const answer = { ...signed, proposal_id: proposalIdSchema, prev: statementHash } as const

/**
 * Members of each signed statement, on the wire and in a receipt. `expires` is in seconds from `ts`, `dispute_window` in
 * seconds from the first COMPLETE.
 */
export const statementBodies = {
  PROPOSAL: { ...signed, ...offer, amount: optional(amount), expires: seconds, dispute_window: seconds },
  ACCEPT: { ...answer, ...written.ACCEPT },
  REJECT: { ...answer, ...written.REJECT },
  COMPLETE: { ...answer, ...written.COMPLETE },
  DISPUTE: { ...answer, ...written.DISPUTE },
} as const satisfies Record<Verb, Fields>

/** Members of each draft: a statement without what its signer adds. */
export const draftBodies = {
  PROPOSAL: {
    to: agentRef,
    ...offer,
    amount: optional(either(number(0), amount, amountRule)),
    expires: optional(seconds),
    dispute_window: optional(seconds),
  },
  ACCEPT: {
    proposal_id: proposalIdSchema,
    ...written.ACCEPT,
    /** True to accept once a person has approved it; for a daemon, which does not sign it. */
    ask: optional(boolean),
  },
  REJECT: { proposal_id: proposalIdSchema, ...written.REJECT },
  COMPLETE: { proposal_id: proposalIdSchema, ...written.COMPLETE },
  DISPUTE: { proposal_id: proposalIdSchema, ...written.DISPUTE },
} as const satisfies Record<Verb, Fields>

type Statements = {
  [K in Verb]: { readonly type: K; readonly id: string } & OutputOf<(typeof statementBodies)[K]>
}
type Drafts = {
  [K in Verb]: { readonly type: K; readonly id?: string } & OutputOf<(typeof draftBodies)[K]>
}

/** A signed statement of type `V`. */
export type Statement<V extends Verb = Verb> = Statements[V]

/** A draft of type `V`, validated. */
export type Draft<V extends Verb = Verb> = Drafts[V]
