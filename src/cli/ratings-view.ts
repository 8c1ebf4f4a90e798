/** How ratings read: in words, and as JSON. */
import { kFactor, startRating } from "../ratings/elo.js"
import { isoTime } from "./iso-time.js"
import type { RatedAgent, RatingsDigest } from "./ratings-cache.js"

/** An agent, and how far it is trusted if it was asked for by whom. */
export interface ViewedAgent extends RatedAgent {
  /** 0 to 1. */
  readonly trust?: number
}

/** The highest rating first. */
export function byRating(a: RatedAgent, b: RatedAgent): number {
  return b.rating - a.rating || b.transactions - a.transactions || (a.did < b.did ? -1 : 1)
}

/** An agent that has no rated deal. */
export function unrated(agentId: string, did: string | undefined): ViewedAgent {
  return { agentId, did: did ?? "", rating: startRating, transactions: 0, updatedTs: 0 }
}

/** An agent as JSON. */
export function ratingDocument({ agentId, did, rating, transactions, updatedTs, trust }: ViewedAgent) {
  return {
    agent_id: agentId,
    did: did === "" ? null : did,
    rating,
    transactions,
    updated: transactions === 0 ? null : isoTime(updatedTs),
    k_factor: kFactor(transactions),
    ...(trust === undefined ? {} : { trust: roundTrust(trust) }),
  }
}

/** One agent in words. */
export function formatRating(agent: ViewedAgent, isOwn: boolean): string[] {
  const { agentId, rating, transactions, updatedTs, trust } = agent
  return [
    `${isOwn ? "Your rating" : "Rating"} (${agentId}):`,
    `  Rating: ${rating}`,
    `  Transactions: ${transactions}`,
    `  Last updated: ${transactions === 0 ? "never" : isoTime(updatedTs)}`,
    `  K-factor: ${kFactor(transactions)}`,
    ...(trust === undefined ? [] : [`  Trust: ${formatTrust(trust)}`]),
  ]
}

/** The first of all, in words. @param agents - the highest rating first */
export function formatLeaderboard(agents: readonly ViewedAgent[], wanted: number): string[] {
  const rows = agents
    .slice(0, wanted)
    .flatMap(({ agentId, rating, transactions, trust }, index) => [
      `  ${index + 1}. ${agentId}`,
      `     Rating: ${rating} | Transactions: ${transactions}${trust === undefined ? "" : ` | Trust: ${formatTrust(trust)}`}`,
    ])
  return [`Top ${wanted} agents by rating:`, ...(rows.length === 0 ? ["  none yet"] : rows)]
}

/** Figures over all agents. */
export interface RatingStatistics {
  readonly agents: number
  readonly deals: number
  readonly completed: number
  /** With an agreed fault. */
  readonly disputed: number
  readonly unresolved: number
  /** Null without agents. */
  readonly highest: number | null
  readonly lowest: number | null
  /** Rounded to a whole number. */
  readonly average: number | null
}

/** @param agents - the highest rating first */
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

/** {@link statisticsOf} in words. */
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
export function formatTrust(trust: number): string {
  return trust.toFixed(2)
}

/** A millionth says nothing any more. */
export function roundTrust(trust: number): number {
  return Math.round(trust * 1e6) / 1e6
}
