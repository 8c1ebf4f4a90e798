/** Numbers per ack: hash of the id, digest, ts, seq, recipients, hops with flags. */
const columns = 6
const firstCapacity = 16
/** Slots per ack in the index, so that a search is short. */
const slotsPerAck = 2
/** Bytes of a reference to the recipient. */
const referenceBytes = 8
const memberFlag = 1
const repeatedFlag = 2
const flagBits = 4
const laneSize = 2 ** 32
/** Bits of the second hash that fit into a number besides the first. */
const secondMask = 0xfffff

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

/**
 * Acks by message id, in some 70 bytes each. An id is kept as a hash of 52 bits: two ids of one sender practically never
 * have the same, and no other sender's ids are here.
 */
export class AckTable {
  #capacity = firstCapacity
  #size = 0
  #numbers = new Float64Array(firstCapacity * columns)
  /** By hash: the position of an ack and 1. */
  #slots = new Uint32Array(firstCapacity * slotsPerAck)
  readonly #recipients: (string | undefined)[] = []

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#numbers.byteLength + this.#slots.byteLength + this.#capacity * referenceBytes
  }

  get(id: string): { readonly digest: number; readonly ack: SentAck } | undefined {
    const position = this.#slots[this.#slotOf(hashOf(id))] ?? 0
    if (position === 0) return undefined
    const at = (position - 1) * columns
    const [digest = 0, ts = 0, seq = -1, recipients = 0, flags = 0] = this.#numbers.subarray(
      at + 1,
      at + columns,
    )
    const to = this.#recipients[position - 1]
    const ack = {
      ...{ ts, recipients, seq: seq < 0 ? undefined : seq, hops: Math.floor(flags / flagBits) },
      isMember: (flags & memberFlag) !== 0,
      ...(to !== undefined && { to }),
      ...((flags & repeatedFlag) !== 0 && { isRepeated: true }),
    }
    return { digest, ack }
  }

  /** Adds the ack of an id that is not here. */
  add(id: string, digest: number, ack: SentAck): void {
    if (this.#size === this.#capacity) this.#grow()
    const { ts, seq = -1, recipients, to, isMember, isRepeated = false, hops } = ack
    const flags = hops * flagBits + (isMember ? memberFlag : 0) + (isRepeated ? repeatedFlag : 0)
    const hash = hashOf(id)
    const at = this.#size * columns
    this.#numbers[at] = hash
    this.#numbers[at + 1] = digest
    this.#numbers[at + 2] = ts
    this.#numbers[at + 3] = seq
    this.#numbers[at + 4] = recipients
    this.#numbers[at + 5] = flags
    this.#recipients[this.#size] = to
    this.#slots[this.#slotOf(hash)] = ++this.#size
  }

  /** Returns the slot of a hash, or the free one where it belongs. */
  #slotOf(hash: number): number {
    const count = this.#slots.length
    let slot = hash & (count - 1)
    for (;;) {
      const position = this.#slots[slot] ?? 0
      if (position === 0 || this.#numbers[(position - 1) * columns] === hash) return slot
      slot = slot + 1 === count ? 0 : slot + 1
    }
  }

  #grow(): void {
    this.#capacity *= 2
    const numbers = new Float64Array(this.#capacity * columns)
    numbers.set(this.#numbers)
    this.#numbers = numbers
    this.#slots = new Uint32Array(this.#capacity * slotsPerAck)
    for (let position = 1; position <= this.#size; position++) {
      this.#slots[this.#slotOf(numbers[(position - 1) * columns] ?? 0)] = position
    }
  }
}

/** Returns FNV-1a with two bases, in 52 bits. */
function hashOf(id: string): number {
  let first = 0x811c9dc5
  let second = 0x9747b28c
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i)
    first = Math.imul(first ^ code, 0x01000193)
    second = Math.imul(second ^ code, 0x5bd1e995)
  }
  return ((second >>> 12) & secondMask) * laneSize + (first >>> 0)
}
