import type { DealRecord } from "./history.js"

/** The share of trust that passes on in each round; the rest returns to the named agents. */
const damping = 0.85
/** After this many rounds, less than a thousandth is still moving. */
const rounds = 50

/**
 * Computes how far trust in a few agents extends to others, as a personalized PageRank. A completed deal links its two
 * parties; the nth deal of a pair adds 1/n² to the weight of the link. Agents that are reachable only over one link
 * share the trust that passes over it, so that creating many of them gains nothing.
 * @param named - did:keys of the trusted agents
 * @param history - see {@link historyOf}
 * @returns a function that returns the trust in a did:key, 0 to 1
 */
export function trustFrom(named: readonly string[], history: readonly DealRecord[]): (did: string) => number {
  const { indexes, links } = linksOf(named, history)
  const starts = [...new Set(named)].map((did) => indexes.get(did) ?? 0)
  const start = (1 - damping) / starts.length
  const total = new Float64Array(indexes.size)
  for (const { a, b, weight } of links) {
    add(total, a, weight)
    add(total, b, weight)
  }
  let rank: Float64Array = new Float64Array(indexes.size)
  for (const index of starts) add(rank, index, 1 / starts.length)
  for (let round = 0; round < rounds; round++) {
    const next = new Float64Array(indexes.size)
    const share = (from: number, weight: number) => (damping * at(rank, from) * weight) / at(total, from)
    for (const { a, b, weight } of links) {
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

/** Two agents with completed deals. */
interface Link {
  readonly a: number
  readonly b: number
  weight: number
  deals: number
}

function linksOf(named: readonly string[], history: readonly DealRecord[]) {
  const indexes = new Map<string, number>()
  const indexOf = (did: string): number => {
    const known = indexes.get(did)
    if (known !== undefined) return known
    const index = indexes.size
    indexes.set(did, index)
    return index
  }
  for (const did of named) indexOf(did)
  const links = new Map<string, Link>()
  for (const { outcome, parties } of history) {
    if (outcome !== "completed") continue
    const [a, b] = [indexOf(parties[0]), indexOf(parties[1])].sort((one, two) => one - two) as [
      number,
      number,
    ]
    const key = `${a} ${b}`
    const link = links.get(key) ?? { a, b, weight: 0, deals: 0 }
    link.deals += 1
    link.weight += 1 / link.deals ** 2
    links.set(key, link)
  }
  return { indexes, links: [...links.values()] }
}
