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

/** Origins that have next to nothing may fill all of a resource, greedy ones this part of it. */
const greedyPart = 0.75
/** A greedy origin leaves this many times as much of that part free as it has. */
const freeParts = 2
/** Part of a resource that is next to nothing. */
const smallPart = 1 / 512

/**
 * A bounded resource that origins share. One origin gets at most a quarter of it. The more is taken, the less each may
 * have, so the largest are refused first. The last quarter is for origins that have at most a 512th.
 */
export class FairShare {
  readonly #max: number
  /** False if the resource is so small that any origin may take all of it. */
  readonly isDivided: boolean
  readonly #used = new Map<Origin, number>()
  #total = 0

  /** @param divided - smallest size that is divided */
  constructor(max: number, divided = 1) {
    this.#max = max
    this.isDivided = max >= divided
  }

  get total(): number {
    return this.#total
  }

  usedBy(origin: Origin): number {
    return this.#used.get(origin) ?? 0
  }

  /** Returns whether an origin may take `amount` more, of this resource and `spare` units. */
  fits(origin: Origin, amount = 1, spare = 0): boolean {
    const max = this.#max + spare
    const free = max - this.#total - amount
    if (free < 0 || !this.isDivided) return free >= 0
    const wanted = this.usedBy(origin) + amount
    return wanted <= Math.max(1, max * smallPart) || wanted * freeParts <= free - max * (1 - greedyPart)
  }

  /**
   * Takes an amount, without a check; a negative one gives back. An agent's origin changes as its key ages: give back to
   * the one that took.
   */
  take(origin: Origin, amount = 1): void {
    const used = this.usedBy(origin) + amount
    if (used > 0) this.#used.set(origin, used)
    else this.#used.delete(origin)
    this.#total += amount
  }

  /** Gives back what was taken. */
  give(origin: Origin, amount = 1): void {
    this.take(origin, -amount)
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
