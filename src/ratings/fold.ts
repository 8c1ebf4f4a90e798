import type { DealRecord } from "./history.js"

export interface Standing {
  readonly rating: number
  /** Number of rated deals. */
  readonly transactions: number
  /** Time of the last rated deal; milliseconds since the Unix epoch. */
  readonly updatedTs: number
}

/** The effect of one deal on the rating of one party. */
export interface Move extends Stake {
  readonly deal: DealRecord
  readonly agent: string
  readonly counterparty: string
  readonly before: number
  readonly after: number
  /** Trust in the counterparty, 0 to 1; undefined without {@link FoldOptions.trustIn}. */
  readonly trust: number | undefined
}

export interface FoldOptions {
  /** Trust in an agent, 0 to 1. Gains from it are multiplied by the trust and have no minimum. */
  readonly trustIn?: ((did: string) => number) | undefined
  /** Called with both moves of each rated deal, in order. */
  readonly onMove?: (move: Move) => void
}

interface Player {
  readonly did: string
  readonly index: number
  rating: number
  transactions: number
  updatedTs: number
}

/** More than the number of players, so that two indexes can be combined into one number. */
const maxPlayers = 2 ** 26

/**
 * Computes all ratings from the deals of {@link historyOf}, in time linear in their number.
 * @returns ratings by did:key, in the order of first deals; agents without rated deals are absent
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
      Math.min(proposer.index, recipient.index) * maxPlayers + Math.max(proposer.index, recipient.index)
    const nth = (counts.get(pair) ?? 0) + 1
    counts.set(pair, nth)
    // Compute both moves from the ratings before the deal.
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

/** Tests whether a deal counts. A dispute without an agreed fault cancels the completion and has no effect itself. */
function isRated({ outcome }: DealRecord): boolean {
  return outcome !== "unresolved"
}

/** Avoids copying objects, because it runs twice per receipt. */
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
  move.after = Math.max(minRating, before + change)
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

/** Rating of an agent before its first deal. */
export const startRating = 1_200
/** Lowest possible rating. */
const minRating = 100

/** Difference in points that makes the expected score 10 to 1. */
const divisor = 400
const maxWeight = 3

/** Returns the K-factor: the most points that a deal of weight 1 can change. @param transactions - rated deals so far */
export function kFactor(transactions: number): number {
  if (transactions < 30) return 32
  return transactions < 100 ? 24 : 16
}

/**
 * Returns the expected score of an agent against a counterparty, between 0 and 1.
 * @see A. Elo, The Rating of Chessplayers (1978)
 */
export function expectedScore(own: number, other: number): number {
  return 1 / (1 + 10 ** ((other - own) / divisor))
}

/** Returns the weight of a deal: 1 without an amount, growing with its logarithm to 3. @param amount - a decimal number */
export function taskWeight(amount: string | undefined): number {
  return Math.min(1 + Math.log10(Number(amount ?? "0") + 1), maxWeight)
}

/** The inputs of a change of one party's rating. */
export interface Stake {
  readonly k: number
  readonly weight: number
  readonly expected: number
  /** Number of this deal among the rated deals of the two parties, from 1. */
  readonly nth: number
}

/** Returns the points gained by a completed deal. The nth deal of the same two parties counts 1/n². */
export function gainOf({ k, weight, expected, nth }: Stake): number {
  return Math.round(Math.max(1, k * weight * (1 - expected)) / nth ** 2)
}

/**
 * Returns the points gained by a completed deal, multiplied by the trust in the counterparty; may be 0.
 * @param trust - 0 to 1
 */
export function trustedGainOf({ k, weight, expected, nth }: Stake, trust: number): number {
  return Math.round((trust * k * weight * (1 - expected)) / nth ** 2)
}

/** Returns the points lost by the party at fault. Unlike a gain, it does not fall with the number of deals. */
export function lossOf({ k, weight, expected }: Stake): number {
  return Math.max(1, Math.round(k * weight * expected))
}
