import type { DealRecord } from "./history.js"

/** The share of trust that is handed on; the rest begins again at who was named. */
const handedOn = 0.85
/** What is left after so many rounds is less than a thousandth. */
const rounds = 50

/**
 * How far trust in a few agents reaches others: a personalised PageRank. Each completed deal joins its two
 * parties, the nth of one pair by 1/n², and whatever number of agents stands behind one such bond shares what
 * passes over it.
 * @param named - did:key of those who are trusted
 * @param history - see {@link historyOf}
 * @returns trust in an agent, 0 to 1
 */
export function trustFrom(named: readonly string[], history: readonly DealRecord[]): (did: string) => number {
  const { indexes, bonds } = bondsOf(named, history)
  const starts = [...new Set(named)].map((did) => indexes.get(did) ?? 0)
  const start = (1 - handedOn) / starts.length
  const total = new Float64Array(indexes.size)
  for (const { a, b, weight } of bonds) {
    add(total, a, weight)
    add(total, b, weight)
  }
  let rank: Float64Array = new Float64Array(indexes.size)
  for (const index of starts) add(rank, index, 1 / starts.length)
  for (let round = 0; round < rounds; round++) {
    const next = new Float64Array(indexes.size)
    const share = (from: number, weight: number) => (handedOn * at(rank, from) * weight) / at(total, from)
    for (const { a, b, weight } of bonds) {
      add(next, a, share(b, weight))
      add(next, b, share(a, weight))
    }
    for (const index of starts) add(next, index, start)
    rank = next
  }
  return (did) => {
    const index = indexes.get(did)
    return index === undefined ? 0 : Math.min(1, at(rank, index) / start)
  }
}

function at(values: Float64Array, index: number): number {
  return values[index] ?? 0
}

function add(values: Float64Array, index: number, amount: number): void {
  values[index] = at(values, index) + amount
}

/** Two who have completed deals. */
interface Bond {
  readonly a: number
  readonly b: number
  weight: number
  deals: number
}

function bondsOf(named: readonly string[], history: readonly DealRecord[]) {
  const indexes = new Map<string, number>()
  const indexOf = (did: string): number => {
    const known = indexes.get(did)
    if (known !== undefined) return known
    const index = indexes.size
    indexes.set(did, index)
    return index
  }
  for (const did of named) indexOf(did)
  const bonds = new Map<string, Bond>()
  for (const { outcome, parties } of history) {
    if (outcome !== "completed") continue
    const [a, b] = [indexOf(parties[0]), indexOf(parties[1])].sort((one, two) => one - two) as [
      number,
      number,
    ]
    const key = `${a} ${b}`
    const bond = bonds.get(key) ?? { a, b, weight: 0, deals: 0 }
    bond.deals += 1
    bond.weight += 1 / bond.deals ** 2
    bonds.set(key, bond)
  }
  return { indexes, bonds: [...bonds.values()] }
}
