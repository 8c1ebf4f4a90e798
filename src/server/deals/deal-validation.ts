import { canonicalize } from "../../identity/canonical-json.js"
import { advanceDeal, type Deal, disputableUntil, expiryOf, openDeal } from "../../proposals/deal.js"
import { readStatement, verifyStatement } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { Statement } from "../../protocol/statements.js"
import type { DealTable } from "./deal-table.js"

/** Milliseconds after which an agent has certainly received the statement of the other party that came first. */
const staleRetryMs = 250
/** Milliseconds after which a deal may have been deleted to make space. */
const spaceRetryMs = 60_000
/** Deals of one agent that may change in the same millisecond: LIST_PROPOSALS lists all of them in one page. */
const maxAtOnce = 64
const proposalId = /^[A-Za-z0-9_-]{8,64}$/

/**
 * Parses a frame as a statement of the agent with the key `did` for this relay, and verifies its signature.
 * @throws {ChatError} INVALID_MSG, VERIFICATION_FAILED
 */
export function readOwnStatement(frame: object, did: string, aud: string): Statement {
  const statement = readStatement(frame)
  const { type, from } = statement
  if (from !== did)
    throw new ChatError("VERIFICATION_FAILED", `${type}.from: must be the key of this session`)
  if (statement.aud !== aud) {
    throw new ChatError("VERIFICATION_FAILED", `${type}.aud: must be this server, ${aud}`)
  }
  if (type === "PROPOSAL" && !proposalId.test(statement.id)) {
    throw new ChatError("INVALID_MSG", "PROPOSAL.id: must be 8-64 letters, digits, _ or -")
  }
  verifyStatement(statement)
  return statement
}

/**
 * Opens a deal.
 * @throws {ChatError} PROPOSAL_EXPIRED if it cannot be answered any more; INVALID_MSG if its deadlines are too far away
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
  throw new ChatError("PROPOSAL_EXPIRED", "PROPOSAL.expires: the proposal is expired already")
}

/**
 * Like {@link advanceDeal}, but also checks the deadlines by this relay's clock: the signer chooses `ts`.
 * @throws {ChatError} as that; STATEMENT_STALE with the time after which to try again
 */
export function advanceDealNow(deal: Deal, statement: Statement, now: number): Deal {
  const { type } = statement
  const advanced = advance(deal, statement)
  if (deal.state === "pending" && now > expiryOf(deal)) {
    throw new ChatError("PROPOSAL_EXPIRED", `${type}: the proposal is expired`)
  }
  const disputable = type === "DISPUTE" && deal.state === "completed" ? disputableUntil(deal) : undefined
  if (disputable !== undefined && now > disputable) {
    throw new ChatError("PROPOSAL_STATE", `${type}: the dispute window has ended`)
  }
  return advanced
}

function advance(deal: Deal, statement: Statement): Deal {
  try {
    return advanceDeal(deal, statement)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "STATEMENT_STALE") throw error
    throw new ChatError(error.code, error.message, { retryAfterMs: staleRetryMs, cause: error })
  }
}

/**
 * Finds the same statement in a deal. Its time, `prev` and signature may differ: an agent signs a draft again if it does
 * not know that the first attempt arrived.
 */
export function findRepeated({ chain }: Deal, statement: Statement): Statement | undefined {
  const wanted = contentOf(statement)
  return chain.find((each) => each.id === statement.id && contentOf(each) === wanted)
}

/** Returns the fields of a statement that do not depend on when it is signed. */
function contentOf(statement: Statement): string {
  const { sig: _sig, ts: _ts, ...rest } = statement
  const { prev: _prev, ...content } = { prev: undefined, ...rest }
  return canonicalize(content)
}

/** @throws {ChatError} INVALID_MSG if the time of a statement differs too much from this relay's clock */
export function checkClock({ type, ts }: Statement, now: number, { statementSkewMs }: Limits): void {
  const ahead = ts - now
  if (Math.abs(ahead) <= statementSkewMs) return
  const seconds = Math.round(Math.abs(ahead) / 1_000)
  const where = ahead > 0 ? "ahead of" : "behind"
  throw new ChatError("INVALID_MSG", `${type}.ts: is ${seconds} s ${where} this relay's clock`, {
    hint: `set the clock; ${statementSkewMs / 1_000} s of difference are allowed`,
  })
}

/** @throws {ChatError} LIMIT_REACHED if there is no space for one more deal of this proposer */
export function checkSpace(deals: DealTable, proposer: AgentId, limits: Limits): void {
  const { proposals, agentProposals, proposalCharacters } = limits
  const details = { retryAfterMs: spaceRetryMs }
  if (deals.size >= proposals || deals.characters >= proposalCharacters) {
    throw new ChatError("LIMIT_REACHED", "PROPOSAL: this relay stores no more proposals", details)
  }
  if (deals.countProposedBy(proposer) >= agentProposals) {
    throw new ChatError(
      "LIMIT_REACHED",
      `PROPOSAL: this relay already has the maximum of ${agentProposals} proposals of yours`,
      details,
    )
  }
}

/** @throws {ChatError} RATE_LIMITED if too many deals of one party changed in the millisecond of a statement */
export function checkSameTime(deals: DealTable, parties: readonly AgentId[], { type, ts }: Statement): void {
  if (parties.every((party) => deals.countAt(party, ts) < maxAtOnce)) return
  throw new ChatError("RATE_LIMITED", `${type}.ts: too many statements in the same millisecond`, {
    retryAfterMs: staleRetryMs,
  })
}
