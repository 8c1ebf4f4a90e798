/** Formats ratings as text and as JSON. */
import { formatForTerminal } from "../../base/visible-text.js"
import { kFactor, type Move, startRating } from "../../ratings/fold.js"
import type { DealRecord } from "../../ratings/history.js"
import { formatTable } from "../output/table.js"
import { formatIsoTime } from "../output/time.js"
import type { RatedAgent, RatingsDigest } from "./ratings-cache.js"

export interface ViewedAgent extends RatedAgent {
  /** 0 to 1. */
  readonly trust?: number
}

/** Compares agents for an order by falling rating. */
export function byRating(a: RatedAgent, b: RatedAgent): number {
  return b.rating - a.rating || b.transactions - a.transactions || (a.did < b.did ? -1 : 1)
}

export function unrated(agentId: string, did: string | undefined): ViewedAgent {
  return { agentId, did: did ?? "", rating: startRating, transactions: 0, updatedTs: 0 }
}

export function ratingDocument({ agentId, did, rating, transactions, updatedTs, trust }: ViewedAgent) {
  return {
    agent_id: agentId,
    did: did === "" ? null : did,
    rating,
    transactions,
    updated: transactions === 0 ? null : formatIsoTime(updatedTs),
    k_factor: kFactor(transactions),
    ...(trust === undefined ? {} : { trust: roundTrust(trust) }),
  }
}

export function formatRating(agent: ViewedAgent, isOwn: boolean): string[] {
  const { agentId, rating, transactions, updatedTs, trust } = agent
  return [
    `${isOwn ? "Your rating" : "Rating"} (${agentId}):`,
    `  Rating: ${rating}`,
    `  Transactions: ${transactions}`,
    `  Last updated: ${transactions === 0 ? "never" : formatIsoTime(updatedTs)}`,
    `  K-factor: ${kFactor(transactions)}`,
    ...(trust === undefined ? [] : [`  Trust: ${formatTrust(trust)}`]),
  ]
}

/** Returns the lines about the highest rated agents. @param agents - by falling rating */
export function formatLeaderboard(agents: readonly ViewedAgent[], wanted: number): string[] {
  const rows = agents
    .slice(0, wanted)
    .flatMap(({ agentId, rating, transactions, trust }, index) => [
      `  ${index + 1}. ${agentId}`,
      `     Rating: ${rating} | Transactions: ${transactions}${trust === undefined ? "" : ` | Trust: ${formatTrust(trust)}`}`,
    ])
  return [`Top ${wanted} agents by rating:`, ...(rows.length === 0 ? ["  none yet"] : rows)]
}

export interface RatingStatistics {
  readonly agents: number
  readonly deals: number
  readonly completed: number
  /** Disputed deals in which both parties name the same fault. */
  readonly disputed: number
  readonly unresolved: number
  /** Null if there are no agents. */
  readonly highest: number | null
  readonly lowest: number | null
  /** Rounded to an integer. */
  readonly average: number | null
}

/** @param agents - by falling rating */
export function statisticsOf(
  agents: readonly ViewedAgent[],
  deals: RatingsDigest["deals"],
): RatingStatistics {
  const { completed, unresolved, proposer, recipient, mutual } = deals
  const disputed = proposer + recipient + mutual
  const sum = agents.reduce((total, { rating }) => total + rating, 0)
  return {
    agents: agents.length,
    deals: completed + disputed + unresolved,
    completed,
    disputed,
    unresolved,
    highest: agents[0]?.rating ?? null,
    lowest: agents.at(-1)?.rating ?? null,
    average: agents.length === 0 ? null : Math.round(sum / agents.length),
  }
}

export function formatStatistics(statistics: RatingStatistics): string[] {
  const { agents, deals, completed, disputed, unresolved, highest, lowest, average } = statistics
  return [
    "Rating statistics:",
    `  Agents: ${agents}`,
    `  Deals: ${deals}`,
    `  Completed: ${completed}`,
    `  Disputed, fault agreed: ${disputed}`,
    `  Disputed, unresolved: ${unresolved}`,
    ...(average === null ? [] : [`  Highest: ${highest}`, `  Lowest: ${lowest}`, `  Average: ${average}`]),
  ]
}

/** @param trust - 0 to 1 */
function formatTrust(trust: number): string {
  return trust.toFixed(2)
}

/** Rounds to six digits; the computation is less exact. */
function roundTrust(trust: number): number {
  return Math.round(trust * 1e6) / 1e6
}

/** The effect of a deal on an agent's rating; `move` is undefined if the deal is not rated. */
export interface Explanation {
  readonly deal: DealRecord
  readonly counterparty: string
  readonly move: Move | undefined
}

/**
 * Formats the deals as a table.
 * @param idOf - agent id of a did:key
 * @param columns - as for {@link formatTable}
 */
export function formatExplanations(
  explanations: readonly Explanation[],
  idOf: (did: string) => string,
  columns?: number,
): string[] {
  if (explanations.length === 0) return ["There are no receipts of this agent."]
  const rows = explanations.map((explanation) => {
    const { deal, counterparty, move } = explanation
    const change = move === undefined ? "" : signed(move.after - move.before)
    const rating = move === undefined ? "" : `${move.before} → ${move.after}`
    const id = formatForTerminal(deal.id)
    return [
      formatIsoTime(deal.ts),
      change,
      rating,
      idOf(counterparty),
      outcomeOf(explanation),
      id,
      describeMove(explanation),
    ]
  })
  const headings = ["WHEN", "CHANGE", "RATING", "WITH", "OUTCOME", "PROPOSAL", { text: "COMPUTED FROM" }]
  return formatTable(headings, rows, columns)
}

export function explanationDocuments(explanations: readonly Explanation[], idOf: (did: string) => string) {
  return explanations.map((explanation) => {
    const { deal, counterparty, move } = explanation
    return {
      proposal_id: deal.id,
      proposal: deal.proposal,
      with: idOf(counterparty),
      outcome: outcomeOf(explanation),
      ts: deal.ts,
      change: move === undefined ? 0 : move.after - move.before,
      ...(move === undefined ? {} : detailsOf(move)),
    }
  })
}

function detailsOf({ before, after, k, weight, expected, nth, trust }: NonNullable<Explanation["move"]>) {
  const details = { before, after, k, weight, expected, nth_of_pair: nth }
  return trust === undefined ? details : { ...details, trust: roundTrust(trust) }
}

function outcomeOf({ deal: { outcome, parties }, counterparty }: Explanation): string {
  if (outcome === "completed") return "completed"
  if (outcome === "unresolved" || outcome === "mutual") return `disputed, ${outcome}`
  const atFault = parties[outcome === "proposer" ? 0 : 1]
  return atFault === counterparty ? "disputed, other at fault" : "disputed, at fault"
}

function describeMove({ move }: Explanation): string {
  if (move === undefined) return "no fault agreed on: not rated"
  const { k, weight, expected, nth, trust } = move
  const parts = [`K ${k}`, `weight ${weight.toFixed(2)}`, `expected ${expected.toFixed(2)}`]
  if (nth > 1) parts.push(`deal ${nth} of the pair`)
  if (trust !== undefined) parts.push(`trust ${formatTrust(trust)}`)
  return parts.join(", ")
}

function signed(change: number): string {
  return change < 0 ? String(change) : `+${change}`
}
