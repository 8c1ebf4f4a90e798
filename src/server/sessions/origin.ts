/**
 * The party that a bound is shared by. Sessions without a key and new keys cost nothing, so they count together by
 * their address; a key that this relay has known for a while counts for itself. Every agent of this machine (or of a
 * reverse proxy on it) has the loopback address, so there each key counts for itself from the start.
 */
export type Origin = string

/** The origin of sessions without a key on this machine. */
export const loopback: Origin = "loopback"

/** The origin of those whose address is not known. */
export const unknownOrigin: Origin = "?"

/** Milliseconds for which a key counts with its address. */
const newKeyMs = 3_600_000

/** Returns the origin of an address. One IPv6 user has 2^64 addresses: their /64 counts as one. */
export function addressOrigin(address: string | undefined): Origin {
  if (address === undefined) return unknownOrigin
  const plain = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address
  if (plain === "::1" || plain.startsWith("127.")) return loopback
  return plain.includes(":") ? networkOf(plain) : plain
}

/**
 * Returns the origin of a key.
 * @param id - of the key
 * @param address - from {@link addressOrigin}
 * @param knownMs - milliseconds since this relay met the key
 */
export function keyOrigin(id: string, address: Origin, knownMs: number): Origin {
  return address === loopback || knownMs >= newKeyMs ? id : address
}

/** Shares of an origin that leave room for others: it may have a third of what it leaves free. */
const freeParts = 3

/**
 * A bounded resource that origins share. One origin gets at most a quarter of it. The more is taken, the less each may
 * have: `n` greedy origins together leave 3/(n+3) free, so the largest are refused first, and a new one finds room.
 */
export class FairShare {
  readonly #max: number
  readonly #used = new Map<Origin, number>()
  #total = 0

  constructor(max: number) {
    this.#max = max
  }

  get total(): number {
    return this.#total
  }

  usedBy(origin: Origin): number {
    return this.#used.get(origin) ?? 0
  }

  /** Returns whether an origin may take `amount` more. */
  fits(origin: Origin, amount = 1): boolean {
    return (this.usedBy(origin) + amount) * freeParts <= this.#max - this.#total - amount
  }

  /** Takes an amount, without a check. An agent's origin changes as its key ages: give back to the one that took. */
  take(origin: Origin, amount = 1): void {
    this.#used.set(origin, this.usedBy(origin) + amount)
    this.#total += amount
  }

  /** Gives back what was taken. */
  give(origin: Origin, amount = 1): void {
    const left = this.usedBy(origin) - amount
    if (left > 0) this.#used.set(origin, left)
    else this.#used.delete(origin)
    this.#total -= amount
  }
}

const groupsOfNetwork = 4
const groups = 8

function networkOf(address: string): string {
  const [head = "", tail] = address.split("%", 1)[0]?.split("::") ?? []
  const first = head === "" ? [] : head.split(":")
  const last = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? 0 : Math.max(0, groups - first.length - last.length)
  const all = [...first, ...new Array<string>(zeros).fill("0"), ...last]
  return `${all.slice(0, groupsOfNetwork).join(":")}::/64`
}
