import { canonicalize } from "../../identity/canonical-json.js"
import { advanceDeal, type Deal, disputableUntil, expiryOf, openDeal } from "../../proposals/deal.js"
import { readStatement, verifyStatement } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { Statement } from "../../protocol/statements.js"
import type { DealIndex } from "./deal-index.js"

/** Milliseconds after which who was overtaken has surely been told of the other party's statement. */
const overtakenMs = 250
/** Milliseconds after which who found no room may try again. */
const noRoomMs = 60_000
/** Deals of one agent that may change within one millisecond: all of them have to go into one answer. */
const mostAtOnce = 64
const proposalId = /^[A-Za-z0-9_-]{8,64}$/

/**
 * Reads a frame as a statement of the agent whose key `did` is, made for this relay.
 * @throws {ChatError} INVALID_MSG, VERIFICATION_FAILED
 */
export function readOwnStatement(frame: object, did: string, aud: string): Statement {
  const statement = readStatement(frame)
  const { type, from } = statement
  if (from !== did) throw new ChatError("VERIFICATION_FAILED", `${type}.from: is not the key of this session`)
  if (statement.aud !== aud) {
    throw new ChatError("VERIFICATION_FAILED", `${type}.aud: is another server than this one, ${aud}`)
  }
  if (type === "PROPOSAL" && !proposalId.test(statement.id)) {
    throw new ChatError("INVALID_MSG", "PROPOSAL.id: must be 8-64 letters, digits, _ or -")
  }
  verifyStatement(statement)
  return statement
}

/**
 * The deal a proposal opens.
 * @throws {ChatError} PROPOSAL_EXPIRED when it cannot be answered even now; INVALID_MSG when it would stand for too long
 */
export function openDealNow(proposal: Statement<"PROPOSAL">, now: number, { proposalTermMs }: Limits): Deal {
  for (const member of ["expires", "dispute_window"] as const) {
    if (proposal[member] * 1_000 <= proposalTermMs) continue
    throw new ChatError(
      "INVALID_MSG",
      `PROPOSAL.${member}: must be at most ${proposalTermMs / 1_000} s on this relay`,
    )
  }
  const deal = openDeal(proposal)
  if (now <= expiryOf(deal)) return deal
  throw new ChatError("PROPOSAL_EXPIRED", "PROPOSAL.expires: the time to answer it is over already")
}

/**
 * {@link advanceDeal}, and the step is in time by this relay's clock too: who signs chooses the time it says.
 * @throws {ChatError} as that; STATEMENT_STALE tells when to try again
 */
export function advanceDealNow(deal: Deal, statement: Statement, now: number): Deal {
  const { type } = statement
  const advanced = advance(deal, statement)
  if (deal.state === "pending" && now > expiryOf(deal)) {
    throw new ChatError("PROPOSAL_EXPIRED", `${type}: the time to answer the proposal is over`)
  }
  const disputable = type === "DISPUTE" && deal.state === "completed" ? disputableUntil(deal) : undefined
  if (disputable !== undefined && now > disputable) {
    throw new ChatError("PROPOSAL_STATE", `${type}: the time to dispute what is completed is over`)
  }
  return advanced
}

function advance(deal: Deal, statement: Statement): Deal {
  try {
    return advanceDeal(deal, statement)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "STATEMENT_STALE") throw error
    throw new ChatError(error.code, error.message, { retryAfterMs: overtakenMs, cause: error })
  }
}

/**
 * What a deal holds of this act of this party: the very statement, or the same words signed at another time, as
 * somebody does who does not know that the first ones arrived.
 */
export function findAct({ chain }: Deal, statement: Statement): Statement | undefined {
  const wanted = actOf(statement)
  return chain.find((said) => said.id === statement.id && actOf(said) === wanted)
}

/** What a statement says, without when and to what. */
function actOf(statement: Statement): string {
  const { sig: _, ts: __, ...said } = statement
  const { prev: ___, ...act } = { prev: undefined, ...said }
  return canonicalize(act)
}

/** @throws {ChatError} INVALID_MSG for a statement of another time than now */
export function checkSkew({ type, ts }: Statement, now: number, { statementSkewMs }: Limits): void {
  const ahead = ts - now
  if (Math.abs(ahead) <= statementSkewMs) return
  const seconds = Math.round(Math.abs(ahead) / 1_000)
  const where = ahead > 0 ? "ahead of" : "behind"
  throw new ChatError("INVALID_MSG", `${type}.ts: is ${seconds} s ${where} this relay's clock`, {
    hint: `set the clock; ${statementSkewMs / 1_000} s are let pass`,
  })
}

/** @throws {ChatError} LIMIT_REACHED when there is no room for one more deal of this proposer */
export function checkRoom(index: DealIndex, proposer: AgentId, limits: Limits): void {
  const { proposals, agentProposals, proposalCharacters } = limits
  const details = { retryAfterMs: noRoomMs }
  if (index.size >= proposals || index.characters >= proposalCharacters) {
    throw new ChatError("LIMIT_REACHED", "PROPOSAL: this relay keeps no more proposals", details)
  }
  if (index.countMadeBy(proposer) >= agentProposals) {
    throw new ChatError("LIMIT_REACHED", `PROPOSAL: ${agentProposals} of yours stand already`, details)
  }
}

/** @throws {ChatError} RATE_LIMITED when too many deals of one party changed at the very time of a statement */
export function checkMoment(index: DealIndex, parties: readonly AgentId[], { type, ts }: Statement): void {
  if (parties.every((party) => index.countAt(party, ts) < mostAtOnce)) return
  throw new ChatError("RATE_LIMITED", `${type}.ts: too many statements of the same millisecond`, {
    retryAfterMs: overtakenMs,
  })
}
