import { canonicalize } from "../identity/canonical-json.js"
import { ChatError } from "../protocol/errors.js"
import type { DealState } from "../protocol/server-messages.js"
import type { Statement } from "../protocol/statements.js"
import type { Verb } from "../protocol/verbs.js"
import { type DealRule, findRule, legalVerbs } from "./deal-rules.js"
import { agentIdOfDid, hashStatement } from "./statement.js"

/** A proposal and all that was said in answer to it: a chain in which each statement answers the one before. */
export interface Deal {
  /** Of the proposal. */
  readonly id: string
  /** After the last statement; a pending one may have expired since, see {@link stateAt}. */
  readonly state: DealState
  /** The proposal first. */
  readonly chain: readonly [Statement<"PROPOSAL">, ...Statement[]]
  /** Hash of the last statement: the `prev` of the next. */
  readonly head: string
}

/** Opens a deal. */
export function openDeal(proposal: Statement<"PROPOSAL">): Deal {
  return { id: proposal.id, state: "pending", chain: [proposal], head: hashStatement(proposal) }
}

/**
 * The deal with one more statement. Looks at everything but the signature and today's date.
 * @throws {ChatError} PROPOSAL_STATE, PROPOSAL_EXPIRED, NOT_A_PARTY, STATEMENT_STALE when it answers another than the
 * last statement; VERIFICATION_FAILED when it is made for another deal, relay or pair; INVALID_MSG for its time
 */
export function advanceDeal(deal: Deal, statement: Statement): Deal {
  const { type } = statement
  if (type === "PROPOSAL") throw new ChatError("PROPOSAL_STATE", `PROPOSAL.id: ${deal.id} is open already`)
  requireSameDeal(deal, statement)
  const rule = ruleFor(deal, type)
  requireMover(deal, statement, rule)
  requireInTime(deal, statement, rule)
  if (statement.prev !== deal.head) {
    throw new ChatError(
      "STATEMENT_STALE",
      `${type}.prev: is not the hash of the last statement of ${deal.id}`,
    )
  }
  const last = deal.chain.at(-1)
  if (last !== undefined && statement.ts < last.ts) {
    throw new ChatError("INVALID_MSG", `${type}.ts: is before that of the statement it answers`)
  }
  return { ...deal, state: rule.next, chain: [...deal.chain, statement], head: hashStatement(statement) }
}

/** A whole chain. @throws {ChatError} as {@link advanceDeal}; INVALID_MSG when it does not start with a proposal */
export function dealOf(statements: readonly Statement[]): Deal {
  const [first, ...others] = statements
  if (first?.type !== "PROPOSAL")
    throw new ChatError("INVALID_MSG", "proposal: the first statement must be one")
  return others.reduce(advanceDeal, openDeal(first))
}

/** The state at a time, in milliseconds since the Unix epoch: a pending deal expires by itself. */
export function stateAt(deal: Deal, ts: number): DealState {
  return deal.state === "pending" && ts > expiryOf(deal) ? "expired" : deal.state
}

/** Until when the proposal can be answered, in milliseconds since the Unix epoch. */
export function expiryOf({ chain: [proposal] }: Deal): number {
  return proposal.ts + proposal.expires * 1_000
}

/** Until when a completed deal can be disputed; undefined before its first COMPLETE. */
export function disputableUntil({ chain }: Deal): number | undefined {
  const completed = chain.find(({ type }) => type === "COMPLETE")
  return completed === undefined ? undefined : completed.ts + chain[0].dispute_window * 1_000
}

/** Whether the deal holds this very statement, to the last letter: a known signature proves nothing about other words. */
export function hasStatement(deal: Deal, statement: Statement): boolean {
  const { id, sig } = statement
  return deal.chain.some(
    (known) =>
      known.id === id &&
      known.sig === sig &&
      (known === statement || canonicalize(known) === canonicalize(statement)),
  )
}

/** Statements of one verb, in order. */
export function statementsOf<V extends Verb>(deal: Deal, verb: V): Extract<Statement, { type: V }>[] {
  const chain: readonly Statement[] = deal.chain
  return chain.filter((statement): statement is Extract<Statement, { type: V }> => statement.type === verb)
}

/** did:key of the two: who proposed, and to whom. */
export function partiesOf({ chain: [{ from, to }] }: Deal): readonly [proposer: string, recipient: string] {
  return [from, to]
}

/** Who is at fault, as far as both say the same; undefined while they do not. */
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
  if (rest.proposal_id !== deal.id) throw foreign(type, "proposal_id", `is not ${deal.id}`)
  if (!isPair) throw foreign(type, "from", "and to are not the two of the proposal")
  if (aud !== deal.chain[0].aud)
    throw foreign(type, "aud", "is another server than the proposal was made for")
}

function foreign(type: Verb, field: string, problem: string): ChatError {
  return new ChatError("VERIFICATION_FAILED", `${type}.${field}: ${problem}`)
}

function ruleFor({ state, chain }: Deal, verb: Verb): DealRule {
  const rule = findRule(state, verb)
  if (rule !== undefined) return rule
  // What both have said cannot follow any more.
  const legal = legalVerbs(state).filter(
    (legalVerb) => chain.filter(({ type }) => type === legalVerb).length < 2,
  )
  const hint =
    legal.length === 0 ? "nothing more can be said in it" : `what can follow is ${legal.join(" or ")}`
  throw new ChatError("PROPOSAL_STATE", `${verb}: the proposal is ${state}`, { hint })
}

function requireMover(deal: Deal, { type, from }: Statement, { by }: DealRule): void {
  const [, recipient] = partiesOf(deal)
  if (by === "recipient" && from !== recipient) {
    throw new ChatError(
      "NOT_A_PARTY",
      `${type}: only ${agentIdOfDid(recipient)}, to whom it was proposed, can say it`,
    )
  }
  if (by === "other" && deal.chain.some((said) => said.type === type && said.from === from)) {
    throw new ChatError(
      "PROPOSAL_STATE",
      `${type}: you have said it, and only the other party can say it now`,
    )
  }
}

function requireInTime(deal: Deal, { type, ts }: Statement, { until }: DealRule): void {
  if (until === "expires" && ts > expiryOf(deal)) {
    throw new ChatError(
      "PROPOSAL_EXPIRED",
      `${type}: the proposal could be answered until ${iso(expiryOf(deal))}`,
    )
  }
  const disputable = until === "dispute_window" ? disputableUntil(deal) : undefined
  if (disputable !== undefined && ts > disputable) {
    throw new ChatError("PROPOSAL_STATE", `${type}: it could be disputed until ${iso(disputable)}`)
  }
}

function iso(ts: number): string {
  // The last moment a Date can tell, should a stranger have chosen a later one.
  return new Date(Math.min(ts, 8.64e15)).toISOString()
}
