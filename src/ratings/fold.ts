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
import type { DealRecord } from "./history.js"

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
    // Both from the ratings before the deal.
    const proposed = moveOf(deal, proposer, recipient, nth, options.trustIn)
    const answered = moveOf(deal, recipient, proposer, nth, options.trustIn)
    settle(proposer, proposed)
    settle(recipient, answered)
    options.onMove?.(proposed)
    options.onMove?.(answered)
  }
  return new Map(
    Array.from(players.values(), ({ did, rating, transactions, updatedTs }) => [
      did,
      { rating, transactions, updatedTs },
    ]),
  )
}

/** Whether a deal counts: a dispute without an agreed fault takes the completion back, and is nothing itself. */
function isRated({ outcome }: DealRecord): boolean {
  return outcome !== "unresolved"
}

/** Without copies of objects: this runs twice for every receipt there is. */
function moveOf(
  deal: DealRecord,
  self: Player,
  other: Player,
  nth: number,
  trustIn: FoldOptions["trustIn"],
): Move {
  const before = self.rating
  const trust = trustIn?.(other.did)
  const move = {
    deal,
    agent: self.did,
    counterparty: other.did,
    before,
    after: before,
    trust,
    k: kFactor(self.transactions),
    weight: taskWeight(deal.amount),
    expected: expectedScore(before, other.rating),
    nth,
  }
  const change = changeBy(move, isAtFault(deal, self.did))
  move.after = Math.max(leastRating, before + change)
  return move
}

function changeBy(move: Move, isLoser: boolean): number {
  if (isLoser) return -lossOf(move)
  return move.trust === undefined ? gainOf(move) : trustedGainOf(move, move.trust)
}

function isAtFault({ outcome, parties }: DealRecord, did: string): boolean {
  if (outcome === "completed") return false
  return outcome === "mutual" || parties[outcome === "proposer" ? 0 : 1] === did
}

function settle(player: Player, { after, deal }: Move): void {
  player.rating = after
  player.transactions += 1
  player.updatedTs = deal.ts
}
