/** The relay's answer to a message. It is kept, so that the same message sent again gets the same answer. */
export interface SentAck {
  readonly ts: number
  /** Number in its channel; undefined for a direct message. */
  readonly seq: number | undefined
  /** Sessions it was sent to at once. */
  readonly recipients: number
  /** The recipient of a direct message. */
  readonly to?: string
  /** True if the sender is a member of the channel; true for a direct message. */
  readonly isMember: boolean
  /** True if the store had the message already. */
  readonly isRepeated?: boolean
  /** Length of the chain of replies that it ends; 0 if it is not a reply. */
  readonly hops: number
}

interface Entry {
  readonly id: string
  readonly ack: SentAck
  /** Another id with the same hash. */
  readonly next: Entry | undefined
}

/**
 * The last message ids of one sender: at least `count` of them, at most twice as many. There are two generations, and
 * the older one is dropped as a whole, which costs a tenth of deleting the oldest id with each new one.
 *
 * The maps are keyed by our own hash. Nearly every id is new, and to find that out a map keyed by strings compares it
 * with several old ones, which are seldom in the processor's cache.
 */
export class SentIds {
  readonly #count: number
  /** Acks that depend on a store that has not answered yet. */
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

  /** Adds the ack of an id that {@link find} does not know. */
  remember(id: string, ack: SentAck): void {
    if (this.#size >= this.#count) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    const hash = hashOf(id)
    this.#young.set(hash, { id, ack, next: this.#young.get(hash) })
    this.#size++
  }

  /** Returns the ack to come of an id whose message is still being stored. */
  findPending(id: string): Promise<SentAck> | undefined {
    // Without a store there are none, and looking up a string costs its hash.
    return this.#pending.size === 0 ? undefined : this.#pending.get(id)
  }

  /** Adds an ack when it resolves. If it is rejected, the id can be used again. */
  settle(id: string, ack: Promise<SentAck>): Promise<SentAck> {
    const settled = this.#keep(id, ack)
    this.#pending.set(id, settled)
    return settled
  }

  async #keep(id: string, ack: Promise<SentAck>): Promise<SentAck> {
    try {
      const kept = await ack
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
    if (entry.id === id) return entry.ack
  }
  return undefined
}

/** FNV-1a, reduced to the 31 bits that V8 stores without an allocation. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return hash >>> 1
}
