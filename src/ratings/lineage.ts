/** What a key said of its own end. */
export interface KeyEnd {
  /** did:key */
  readonly key: string
  /** did:key of the one it handed over to; undefined when it was revoked. */
  readonly successor: string | undefined
  /** What it signed at or after this time is not believed; milliseconds since the Unix epoch. */
  readonly ts: number
}

/**
 * Which keys are one agent's, and until when each was to be believed. The order in which the ends are given changes
 * nothing. Whether somebody signed them is for the caller to check.
 */
export class Lineage {
  /** did:keys that handed over to several others: none of these is followed. */
  readonly contradicted: readonly string[]
  /** Keys that were replaced, each with the newest of its line. */
  readonly replaced: ReadonlyMap<string, string>
  readonly #ends = new Map<string, number>()

  constructor(ends: Iterable<KeyEnd> = []) {
    const revoked = new Map<string, number>()
    const contradicted = new Set<string>()
    const handOvers = new Map<string, HandOver>()
    for (const { key, successor, ts } of ends) {
      keepEarliest(this.#ends, key, ts)
      const known = handOvers.get(key)
      if (successor === undefined) keepEarliest(revoked, key, ts)
      else if (known !== undefined && known.to !== successor) contradicted.add(key)
      else handOvers.set(key, { from: key, to: successor, ts: Math.min(ts, known?.ts ?? ts) })
    }
    this.contradicted = [...contradicted].sort()
    this.replaced = followed(
      [...handOvers.values()].filter(({ from, to, ts }) => {
        return !contradicted.has(from) && ts < (revoked.get(from) ?? ts + 1) && ts < this.endOf(to)
      }),
    )
  }

  /** When a key ended: milliseconds since the Unix epoch, infinity for one that did not. */
  endOf(key: string): number {
    return this.#ends.get(key) ?? Number.POSITIVE_INFINITY
  }

  /** The key that an agent has now; the same one unless it was replaced. */
  newestOf(key: string): string {
    return this.replaced.get(key) ?? key
  }
}

interface HandOver {
  readonly from: string
  readonly to: string
  readonly ts: number
}

/** A successor lives longer than the hand-over to it, so times rise along every line, and none of them is a circle. */
function followed(handOvers: readonly HandOver[]): Map<string, string> {
  const newest = new Map<string, string>()
  for (const { from, to } of [...handOvers].sort((a, b) => b.ts - a.ts)) {
    newest.set(from, newest.get(to) ?? to)
  }
  return newest
}

function keepEarliest(times: Map<string, number>, key: string, ts: number): void {
  times.set(key, Math.min(ts, times.get(key) ?? ts))
}
