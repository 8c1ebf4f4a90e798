import * as v from "valibot"
import { type AgentRef, agentRefPattern } from "./names.js"
import { faults, type Verb } from "./verbs.js"

/** Seconds a proposal can be accepted, and a completed deal be disputed, unless it says otherwise: 7 days. */
export const defaultSeconds = 604_800
/** Ten years. */
const mostSeconds = 315_360_000

const text = (characters: number) =>
  v.pipe(v.string("must be a string"), v.maxLength(characters, `must be at most ${characters} characters`))
const words = (characters: number) => v.pipe(text(characters), v.minLength(1, "must not be empty"))
const whole = (least: number, most: number) =>
  v.pipe(
    v.number("must be a number"),
    v.safeInteger("must be a whole number"),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  )
const matching = (pattern: RegExp, rule: string) =>
  v.pipe(v.string("must be a string"), v.regex(pattern, rule))

/** A decimal number as text, so that no reader rounds it: at most 21 digits before the point and 18 after. */
export const amountPattern = /^(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,18})?$/
const amountRule = 'must be a decimal number such as "0.05"'
const amount = matching(amountPattern, amountRule)
const proposalId = matching(/^[A-Za-z0-9_-]{8,64}$/, "must be 8-64 letters, digits, _ or -")
const statementHash = matching(/^[A-Za-z0-9_-]{43}$/, "must be the base64url of a SHA-256")
const did = matching(/^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$/, "must be a did:key")
const seconds = whole(1, mostSeconds)
const agentRef = v.pipe(
  matching(agentRefPattern, "must be @ and a name or an agent id"),
  v.transform((ref) => ref as AgentRef),
)

/** What a proposal is about. */
const offer = {
  task: words(2_000),
  currency: v.optional(matching(/^[A-Za-z0-9._-]{1,16}$/, "must be 1-16 letters, digits, . _ or -")),
  payment_code: v.optional(words(256)),
  terms: v.optional(words(16_384)),
}

/** What each act says beside that it is one. */
const said = {
  ACCEPT: { payment_code: v.optional(words(256)) },
  REJECT: { reason: v.optional(words(500)) },
  COMPLETE: { proof: v.optional(words(2_000)) },
  DISPUTE: {
    reason: words(500),
    fault: v.optional(v.picklist(faults, `must be one of ${faults.join(", ")}`)),
  },
}

/** What every statement holds; `id` and `type` stand beside it in the frame. Times are milliseconds since the Unix epoch. */
const signed = {
  v: v.literal(1, "must be 1"),
  from: did,
  to: did,
  ts: whole(0, Number.MAX_SAFE_INTEGER),
  /** `server_id` of the relay it is made for. */
  aud: words(64),
  /** Detached JWS over the canonical JSON of all other members. */
  sig: text(1_024),
}

const answer = { ...signed, proposal_id: proposalId, prev: statementHash }

/**
 * Members of each signed statement as it crosses the wire and stands in a receipt. `expires` and `dispute_window`
 * are seconds from `ts`, and from the first COMPLETE.
 */
export const statementBodies = {
  PROPOSAL: { ...signed, ...offer, amount: v.optional(amount), expires: seconds, dispute_window: seconds },
  ACCEPT: { ...answer, ...said.ACCEPT },
  REJECT: { ...answer, ...said.REJECT },
  COMPLETE: { ...answer, ...said.COMPLETE },
  DISPUTE: { ...answer, ...said.DISPUTE },
} as const satisfies Record<Verb, v.ObjectEntries>

const answered = { proposal_id: proposalId }

/** The same as an agent writes it: without what its daemon, or the library, knows and signs. */
export const draftBodies = {
  PROPOSAL: {
    to: agentRef,
    ...offer,
    amount: v.optional(v.union([v.pipe(v.number(), v.minValue(0, amountRule)), amount], amountRule)),
    expires: v.optional(seconds),
    dispute_window: v.optional(seconds),
  },
  ACCEPT: { ...answered, ...said.ACCEPT },
  REJECT: { ...answered, ...said.REJECT },
  COMPLETE: { ...answered, ...said.COMPLETE },
  DISPUTE: { ...answered, ...said.DISPUTE },
} as const satisfies Record<Verb, v.ObjectEntries>

/** The id every PROPOSAL has, and every other act names. */
export const proposalIdSchema = proposalId

type Entries<B extends Record<Verb, v.ObjectEntries>> = {
  [K in Verb]: { readonly type: K } & Readonly<v.InferOutput<v.ObjectSchema<B[K], undefined>>>
}

type Statements = { [K in Verb]: Entries<typeof statementBodies>[K] & { readonly id: string } }
type Drafts = { [K in Verb]: Entries<typeof draftBodies>[K] & { readonly id?: string } }

/** A signed statement of type `V`. */
export type Statement<V extends Verb = Verb> = Statements[V]

/** What an agent writes for act `V`, validated. */
export type Draft<V extends Verb = Verb> = Drafts[V]
