/** The end of a key: its rotation or revocation. */
export interface KeyEnd {
  /** did:key */
  readonly key: string
  /** did:key of the new key after a rotation; undefined after a revocation. */
  readonly successor: string | undefined
  /** Signatures at or after this time do not count; milliseconds since the Unix epoch. */
  readonly ts: number
}

/**
 * The succession of keys by rotation, and the end of each key. The order of the ends makes no difference. The caller
 * must have verified their signatures.
 */
export class KeySuccession {
  /** did:keys that rotated to several other keys. None of these rotations is followed. */
  readonly contradicted: readonly string[]
  /** Current keys of the same agent, by replaced key. */
  readonly replaced: ReadonlyMap<string, string>
  readonly #ends = new Map<string, number>()

  constructor(ends: Iterable<KeyEnd> = []) {
    const revoked = new Map<string, number>()
    const contradicted = new Set<string>()
    const rotations = new Map<string, Rotation>()
    for (const { key, successor, ts } of ends) {
      keepEarliest(this.#ends, key, ts)
      const known = rotations.get(key)
      if (successor === undefined) keepEarliest(revoked, key, ts)
      else if (known !== undefined && known.to !== successor) contradicted.add(key)
      else rotations.set(key, { from: key, to: successor, ts: Math.min(ts, known?.ts ?? ts) })
    }
    this.contradicted = [...contradicted].sort()
    this.replaced = followRotations(
      [...rotations.values()].filter(({ from, to, ts }) => {
        return !contradicted.has(from) && ts < (revoked.get(from) ?? ts + 1) && ts < this.endOf(to)
      }),
    )
  }

  /** Returns the time at which a key ended, in milliseconds since the Unix epoch; infinity if it is in use. */
  endOf(key: string): number {
    return this.#ends.get(key) ?? Number.POSITIVE_INFINITY
  }

  /** Returns the current key of the agent that has or had a key. */
  newestOf(key: string): string {
    return this.replaced.get(key) ?? key
  }
}

interface Rotation {
  readonly from: string
  readonly to: string
  readonly ts: number
}

/** Follows rotations to the current keys. Times rise along each path, because a key ends after the rotation to it. */
function followRotations(rotations: readonly Rotation[]): Map<string, string> {
  const newest = new Map<string, string>()
  for (const { from, to } of [...rotations].sort((a, b) => b.ts - a.ts)) {
    newest.set(from, newest.get(to) ?? to)
  }
  return newest
}

function keepEarliest(times: Map<string, number>, key: string, ts: number): void {
  times.set(key, Math.min(ts, times.get(key) ?? ts))
}
