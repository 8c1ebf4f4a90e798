import type { DealRecord, Outcome } from "./deal-record.js"
import {
  expectedScore,
  gainOf,
  kFactor,
  leastRating,
  lossOf,
  type Stake,
  startRating,
  taskWeight,
  trustedGainOf,
} from "./elo.js"

/** Where an agent stands. */
export interface Standing {
  readonly rating: number
  /** Rated deals so far. */
  readonly transactions: number
  /** Of the last one; milliseconds since the Unix epoch. */
  readonly updatedTs: number
}

/** What one deal did to one of its parties. */
export interface Move extends Stake {
  readonly deal: DealRecord
  /** did:key of the party that moved. */
  readonly agent: string
  readonly counterparty: string
  readonly before: number
  readonly after: number
  /** How far the counterparty is trusted, 0 to 1; undefined when nobody in particular is. */
  readonly trust: number | undefined
}

/** How ratings are folded, where not plainly. */
export interface FoldOptions {
  /** How far somebody trusts an agent, 0 to 1: gains from it count for as much, and have no minimum. */
  readonly trustIn?: ((did: string) => number) | undefined
  /** Told of both moves of each rated deal, in order. */
  readonly onMove?: (move: Move) => void
}

interface Player {
  readonly did: string
  readonly index: number
  rating: number
  transactions: number
  updatedTs: number
}

/** One party's side of a deal that is being rated. */
interface Side {
  readonly self: Player
  readonly other: Player
  readonly isAtFault: boolean
}

/** More than there will be players: two indexes make one number. */
const mostPlayers = 2 ** 26

/**
 * Everybody's standing after the deals of {@link historyOf}; linear in their number.
 * @returns by did:key, in the order of first deals; who has no rated deal is not in it
 */
export function foldRatings(
  history: readonly DealRecord[],
  options: FoldOptions = {},
): Map<string, Standing> {
  const players = new Map<string, Player>()
  const playerOf = (did: string): Player => {
    const known = players.get(did)
    if (known !== undefined) return known
    const player = { did, index: players.size, rating: startRating, transactions: 0, updatedTs: 0 }
    players.set(did, player)
    return player
  }
  const counts = new Map<number, number>()
  for (const deal of history) {
    if (!isRated(deal)) continue
    const proposer = playerOf(deal.parties[0])
    const recipient = playerOf(deal.parties[1])
    const pair =
      Math.min(proposer.index, recipient.index) * mostPlayers + Math.max(proposer.index, recipient.index)
    const nth = (counts.get(pair) ?? 0) + 1
    counts.set(pair, nth)
    const sides: readonly Side[] = [
      { self: proposer, other: recipient, isAtFault: isAtFault(deal.outcome, "proposer") },
      { self: recipient, other: proposer, isAtFault: isAtFault(deal.outcome, "recipient") },
    ]
    // Both from the ratings before the deal.
    const moves = sides.map((side) => moveOf(deal, side, nth, options.trustIn))
    for (const [index, move] of moves.entries()) settle(sides[index]?.self, move)
    if (options.onMove !== undefined) for (const move of moves) options.onMove(move)
  }
  return new Map(
    Array.from(players.values(), ({ did, rating, transactions, updatedTs }) => [
      did,
      { rating, transactions, updatedTs },
    ]),
  )
}

/** Whether a deal counts: a dispute without an agreed fault takes the completion back, and is nothing itself. */
export function isRated({ outcome }: DealRecord): boolean {
  return outcome !== "unresolved"
}

function isAtFault(outcome: Outcome, role: "proposer" | "recipient"): boolean {
  return outcome === role || outcome === "mutual"
}

function moveOf(
  deal: DealRecord,
  { self, other, isAtFault: isLoser }: Side,
  nth: number,
  trustIn: FoldOptions["trustIn"],
): Move {
  const stake: Stake = {
    k: kFactor(self.transactions),
    weight: taskWeight(deal.amount),
    expected: expectedScore(self.rating, other.rating),
    nth,
  }
  const trust = trustIn?.(other.did)
  const gain = () => (trust === undefined ? gainOf(stake) : trustedGainOf(stake, trust))
  const after = Math.max(leastRating, self.rating + (isLoser ? -lossOf(stake) : gain()))
  return { ...stake, deal, agent: self.did, counterparty: other.did, before: self.rating, after, trust }
}

function settle(player: Player | undefined, { after, deal }: Move): void {
  if (player === undefined) return
  player.rating = after
  player.transactions += 1
  player.updatedTs = deal.ts
}
