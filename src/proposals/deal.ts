import { canonicalize } from "../identity/canonical-json.js"
import { ChatError } from "../protocol/errors.js"
import type { DealState } from "../protocol/server-messages.js"
import type { Statement } from "../protocol/statements.js"
import type { Verb } from "../protocol/verbs.js"
import { agentIdOfDid, hashStatement } from "./statement.js"

/** The party that may make a statement: `other` is the one who has not made this statement in this deal yet. */
type Signer = "recipient" | "either" | "other"

/** A legal statement: in `state`, a `verb` by `by` leads to `next`. `until` limits the time in which it is legal. */
export interface DealRule {
  readonly state: DealState
  readonly verb: Exclude<Verb, "PROPOSAL">
  readonly by: Signer
  readonly next: DealState
  /** `expires`: the deadline of the proposal; `dispute_window`: the time after the first COMPLETE. */
  readonly until?: "expires" | "dispute_window"
}

/**
 * Every legal statement after a PROPOSAL, which opens the deal as `pending`. A pair of state and verb that is not
 * listed is refused. A pending deal becomes `expired` at its deadline without a statement.
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

/** A proposal and its answers: a chain of statements in which each one names the hash of the one before. */
export interface Deal {
  readonly id: string
  /** State after the last statement. A pending deal may have expired since, see {@link stateAt}. */
  readonly state: DealState
  /** The proposal first. */
  readonly chain: readonly [Statement<"PROPOSAL">, ...Statement[]]
  /** Hash of the last statement, which the next one has as `prev`. */
  readonly head: string
}

export function openDeal(proposal: Statement<"PROPOSAL">): Deal {
  return { id: proposal.id, state: "pending", chain: [proposal], head: hashStatement(proposal) }
}

/**
 * Returns the deal with one more statement. Checks everything except the signature and the current time.
 * @throws {ChatError} PROPOSAL_STATE; PROPOSAL_EXPIRED; NOT_A_PARTY; STATEMENT_STALE if it does not answer the last
 * statement; VERIFICATION_FAILED if it is for another deal, relay or pair of agents; INVALID_MSG for a `ts` that
 * goes backwards
 */
export function advanceDeal(deal: Deal, statement: Statement): Deal {
  const { type } = statement
  if (type === "PROPOSAL") throw new ChatError("PROPOSAL_STATE", `PROPOSAL.id: ${deal.id} is already in use`)
  requireSameDeal(deal, statement)
  const rule = ruleFor(deal, type)
  requireSigner(deal, statement, rule)
  requireInTime(deal, statement, rule)
  if (statement.prev !== deal.head) {
    throw new ChatError(
      "STATEMENT_STALE",
      `${type}.prev: is not the hash of the last statement of ${deal.id}`,
    )
  }
  const last = deal.chain.at(-1)
  if (last !== undefined && statement.ts < last.ts) {
    throw new ChatError("INVALID_MSG", `${type}.ts: must not be before the statement it answers`)
  }
  return { ...deal, state: rule.next, chain: [...deal.chain, statement], head: hashStatement(statement) }
}

/**
 * Builds the deal of a whole chain.
 * @throws {ChatError} as {@link advanceDeal}; INVALID_MSG if it does not start with a proposal
 */
export function dealOf(statements: readonly Statement[]): Deal {
  const [first, ...others] = statements
  if (first?.type !== "PROPOSAL")
    throw new ChatError("INVALID_MSG", "proposal: the chain must start with a PROPOSAL")
  return others.reduce(advanceDeal, openDeal(first))
}

/** Returns the state of the deal right after one of its statements. */
export function stateAfter({ chain }: Deal, { sig }: Statement): DealState {
  let state: DealState = "pending"
  for (const statement of chain) {
    const rule = dealRules.find((each) => each.state === state && each.verb === statement.type)
    state = rule?.next ?? state
    if (statement.sig === sig) break
  }
  return state
}

/** Returns the state at a time, in milliseconds since the Unix epoch. */
export function stateAt(deal: Deal, ts: number): DealState {
  return deal.state === "pending" && ts > expiryOf(deal) ? "expired" : deal.state
}

/** Returns the deadline for an answer to the proposal, in milliseconds since the Unix epoch. */
export function expiryOf({ chain: [proposal] }: Deal): number {
  return proposal.ts + proposal.expires * 1_000
}

/** Returns the end of the dispute window; undefined before the first COMPLETE. */
export function disputableUntil({ chain }: Deal): number | undefined {
  const completed = chain.find(({ type }) => type === "COMPLETE")
  return completed === undefined ? undefined : completed.ts + chain[0].dispute_window * 1_000
}

/** Reports whether the deal contains exactly this statement. Comparing signatures alone would accept changed fields. */
export function hasStatement(deal: Deal, statement: Statement): boolean {
  const { id, sig } = statement
  return deal.chain.some(
    (known) =>
      known.id === id &&
      known.sig === sig &&
      (known === statement || canonicalize(known) === canonicalize(statement)),
  )
}

export function statementsOf<V extends Verb>(deal: Deal, verb: V): Extract<Statement, { type: V }>[] {
  const chain: readonly Statement[] = deal.chain
  return chain.filter((statement): statement is Extract<Statement, { type: V }> => statement.type === verb)
}

export function partiesOf({ chain: [{ from, to }] }: Deal): readonly [proposer: string, recipient: string] {
  return [from, to]
}

/** Returns the party at fault once both parties have named the same one. */
export function agreedFault(deal: Deal): "proposer" | "recipient" | "mutual" | undefined {
  const [first, second] = statementsOf(deal, "DISPUTE").map((dispute) => faultIn(deal, dispute))
  return first === second ? first : undefined
}

function faultIn(deal: Deal, { from, fault }: Statement<"DISPUTE">) {
  if (fault === undefined || fault === "mutual") return fault
  const [proposer] = partiesOf(deal)
  return (fault === "self") === (from === proposer) ? "proposer" : "recipient"
}

function requireSameDeal(
  deal: Deal,
  { type, from, to, aud, ...rest }: Exclude<Statement, { type: "PROPOSAL" }>,
) {
  const [proposer, recipient] = partiesOf(deal)
  const isPair = (from === proposer && to === recipient) || (from === recipient && to === proposer)
  if (rest.proposal_id !== deal.id) throw mismatch(type, "proposal_id", `must be ${deal.id}`)
  if (!isPair) throw mismatch(type, "from", "and to must be the parties of the proposal")
  if (aud !== deal.chain[0].aud) throw mismatch(type, "aud", "must be the server of the proposal")
}

function mismatch(type: Verb, field: string, problem: string): ChatError {
  return new ChatError("VERIFICATION_FAILED", `${type}.${field}: ${problem}`)
}

function ruleFor({ state, chain }: Deal, verb: Verb): DealRule {
  const rules = dealRules.filter((rule) => rule.state === state)
  const rule = rules.find((each) => each.verb === verb)
  if (rule !== undefined) return rule
  const isOpen = (each: DealRule) => chain.filter(({ type }) => type === each.verb).length < 2
  const legal = rules.filter(isOpen).map((each) => each.verb)
  const hint = legal.length === 0 ? "the deal is closed" : `it can be answered with ${legal.join(" or ")}`
  throw new ChatError("PROPOSAL_STATE", `${verb}: the proposal is ${state}`, { hint })
}

function requireSigner(deal: Deal, { type, from }: Statement, { by }: DealRule): void {
  const [, recipient] = partiesOf(deal)
  if (by === "recipient" && from !== recipient) {
    throw new ChatError(
      "NOT_A_PARTY",
      `${type}: only the recipient, ${agentIdOfDid(recipient)}, can answer the proposal`,
    )
  }
  if (by === "other" && deal.chain.some((earlier) => earlier.type === type && earlier.from === from)) {
    throw new ChatError(
      "PROPOSAL_STATE",
      `${type}: already made by you, only the other party can still make it`,
    )
  }
}

function requireInTime(deal: Deal, { type, ts }: Statement, { until }: DealRule): void {
  if (until === "expires" && ts > expiryOf(deal)) {
    throw new ChatError("PROPOSAL_EXPIRED", `${type}: the proposal expired at ${iso(expiryOf(deal))}`)
  }
  const disputable = until === "dispute_window" ? disputableUntil(deal) : undefined
  if (disputable !== undefined && ts > disputable) {
    throw new ChatError("PROPOSAL_STATE", `${type}: the dispute window ended at ${iso(disputable)}`)
  }
}

function iso(ts: number): string {
  // A signer chooses the time; a Date cannot hold a later one.
  return new Date(Math.min(ts, 8.64e15)).toISOString()
}
