import type { DealState } from "../protocol/server-messages.js"
import type { Verb } from "../protocol/verbs.js"

/** Who may take a step: the `other` is who has not taken this same step in this deal. */
type Mover = "recipient" | "either" | "other"

/** A legal step: in `state`, `verb` said by `by` leads to `next`. `until` bounds the time in which it can be said. */
export interface DealRule {
  readonly state: DealState
  readonly verb: Exclude<Verb, "PROPOSAL">
  readonly by: Mover
  readonly next: DealState
  /** `expires`: of the proposal; `dispute_window`: after the first COMPLETE. */
  readonly until?: "expires" | "dispute_window"
}

/**
 * Every legal step of a deal after its PROPOSAL, which opens it as `pending`; a pair of state and verb that is not
 * here is refused. A pending deal whose time is over is `expired` without anybody saying so.
 */
export const dealRules: readonly DealRule[] = [
  { state: "pending", verb: "ACCEPT", by: "recipient", next: "accepted", until: "expires" },
  { state: "pending", verb: "REJECT", by: "recipient", next: "rejected", until: "expires" },
  { state: "accepted", verb: "COMPLETE", by: "either", next: "completed" },
  { state: "accepted", verb: "DISPUTE", by: "either", next: "disputed" },
  { state: "completed", verb: "COMPLETE", by: "other", next: "completed" },
  { state: "completed", verb: "DISPUTE", by: "either", next: "disputed", until: "dispute_window" },
  { state: "disputed", verb: "DISPUTE", by: "other", next: "disputed" },
]

/** The rule for a step, if it is legal for somebody. */
export function findRule(state: DealState, verb: Verb): DealRule | undefined {
  return dealRules.find((rule) => rule.state === state && rule.verb === verb)
}

/** What can be said in a state, in the order of the table. */
export function legalVerbs(state: DealState): Verb[] {
  return dealRules.filter((rule) => rule.state === state).map(({ verb }) => verb)
}
