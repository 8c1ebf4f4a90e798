import type { DealNews } from "../../proposals/deal-news.js"
import type { Draft, Statement } from "../../protocol/statements.js"
import type { Fault, Verb } from "../../protocol/verbs.js"

/** Members of a statement that only prove it, or that {@link DealNews} holds in another form. */
type Unsaid<V extends Verb> =
  | "type"
  | "from"
  | "name"
  | "to"
  | "state"
  | "ts"
  | "msg_id"
  | "v"
  | "aud"
  | "sig"
  | "prev"
  | (V extends "PROPOSAL" ? never : "id")

type SaidIn<V extends Verb> = {
  readonly [K in keyof Statement<V> as K extends Unsaid<V> ? never : K]: Statement<V>[K]
}

/**
 * A verified step of a deal, as its event tells it and as the call that made it resolves. A PROPOSAL has `id`, `task`
 * and its terms; every other one `proposal_id`, and what was said.
 */
export type DealEvent<V extends Verb = Verb> = { [K in V]: DealNews & { readonly type: K } & SaidIn<K> }[V]

/** What is proposed. `expires` and `dispute_window` are seconds, 7 days when absent. */
export interface Offer extends Omit<Draft<"PROPOSAL">, "type" | "to"> {
  /** Any text unique among one's own proposals: a call repeated with the same one stays one proposal. */
  readonly id?: string
}

/** What may be said beside the reason of a dispute. */
export interface DisputeOptions {
  /** Who is at fault, as seen by who says it. Counts once both have named the same one. */
  readonly fault?: Fault
}

/** Which proposals to list. */
export interface ProposalQuery {
  readonly id?: string
  /** Those that changed since, milliseconds since the Unix epoch. */
  readonly since?: number
}

/** A proposal, its `state` being that of now, and all that followed. */
export type Proposal = DealEvent<"PROPOSAL"> & {
  /** What was said in answer, oldest first. */
  readonly steps: readonly DealEvent[]
}
