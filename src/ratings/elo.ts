/** Every agent's rating before its first deal. */
export const startRating = 1_200
/** Nobody falls below. */
export const leastRating = 100

/** A difference of so many points makes the expectation ten to one. */
const divisor = 400
const mostWeight = 3

/** How much a deal can move somebody who has had so many. */
export function kFactor(transactions: number): number {
  if (transactions < 30) return 32
  return transactions < 100 ? 24 : 16
}

/** The share, 0 to 1, that a contest would give to the one rated `own`. */
export function expectedScore(own: number, other: number): number {
  return 1 / (1 + 10 ** ((other - own) / divisor))
}

/** How much more a deal over an amount moves: 1 without one, at most 3. @param amount - a decimal number */
export function taskWeight(amount: string | undefined): number {
  return Math.min(1 + Math.log10(Number(amount ?? "0") + 1), mostWeight)
}

/** What the change of one party's rating is made of. */
export interface Stake {
  readonly k: number
  readonly weight: number
  /** {@link expectedScore} of this party against the other. */
  readonly expected: number
  /** Which rated deal of these two it is, from 1. */
  readonly nth: number
}

/** Points a completed deal brings: half as much from a weaker counterparty, a fourth the second time. */
export function gainOf({ k, weight, expected, nth }: Stake): number {
  return Math.round(Math.max(1, k * weight * (1 - expected)) / nth ** 2)
}

/**
 * {@link gainOf} as somebody sees it who trusts the counterparty only so far; may be nothing.
 * @param trust - 0 to 1
 */
export function trustedGainOf({ k, weight, expected, nth }: Stake, trust: number): number {
  return Math.round((trust * k * weight * (1 - expected)) / nth ** 2)
}

/** Points that being at fault costs: as much the tenth time as the first. */
export function lossOf({ k, weight, expected }: Stake): number {
  return Math.max(1, Math.round(k * weight * expected))
}
