/** What became of a message, kept so that the same id sent again gets the same answer. */
export interface SentAck {
  readonly ts: number
  /** Place in its channel; absent for a direct message. */
  readonly seq: number | undefined
  /** Sessions it went to at once. */
  readonly recipients: number
  /** Whom a direct message is for. */
  readonly to?: string
  /** Whether the sender was in the channel; true for a direct message. */
  readonly isMember: boolean
  /** It stood in the store already, from before this relay knew of it. */
  readonly isRepeated?: boolean
  /** Length of the chain of replies it ends, 0 for a message that answers none. */
  readonly hops: number
}

interface Entry {
  readonly id: string
  readonly receipt: SentAck
  /** Another id of the same hash. */
  readonly next: Entry | undefined
}

/**
 * The ids one sender used last: at least `count` of them, at most twice as many. Two generations, of which
 * the older is dropped whole, cost a tenth of deleting the oldest id with each new one. The maps are keyed by
 * a hash of ours: nearly every id that comes is a new one, and to find that out a map keyed by strings reads
 * several of the old ones, which are seldom in the processor's cache.
 */
export class SentIds {
  readonly #count: number
  /** Of messages whose receipt depends on a store that has not answered. */
  readonly #pending = new Map<string, Promise<SentAck>>()
  #young = new Map<number, Entry>()
  #old: ReadonlyMap<number, Entry> | undefined
  #size = 0

  constructor(count: number) {
    this.#count = count
  }

  find(id: string): SentAck | undefined {
    const hash = hashOf(id)
    return findIn(this.#young.get(hash), id) ?? findIn(this.#old?.get(hash), id)
  }

  /** Keeps the receipt of an id that {@link find} does not know. */
  remember(id: string, receipt: SentAck): void {
    if (this.#size >= this.#count) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    const hash = hashOf(id)
    this.#young.set(hash, { id, receipt, next: this.#young.get(hash) })
    this.#size++
  }

  /** The receipt to come of an id that was used and is not settled. */
  findPending(id: string): Promise<SentAck> | undefined {
    // Without a store there are none, and to look for a text costs its hash.
    return this.#pending.size === 0 ? undefined : this.#pending.get(id)
  }

  /** Keeps the receipt as soon as there is one; without one the id is free again. */
  settle(id: string, receipt: Promise<SentAck>): Promise<SentAck> {
    const settled = this.#keep(id, receipt)
    this.#pending.set(id, settled)
    return settled
  }

  async #keep(id: string, receipt: Promise<SentAck>): Promise<SentAck> {
    try {
      const kept = await receipt
      this.remember(id, kept)
      return kept
    } finally {
      this.#pending.delete(id)
    }
  }

  clear(): void {
    this.#young = new Map()
    this.#old = undefined
    this.#size = 0
  }
}

function findIn(first: Entry | undefined, id: string): SentAck | undefined {
  for (let entry = first; entry !== undefined; entry = entry.next) {
    if (entry.id === id) return entry.receipt
  }
  return undefined
}

/** FNV-1a, cut to the 31 bits that V8 keeps without an allocation. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return hash >>> 1
}
