import { hash } from "node:crypto"
import type { Appended } from "../../backbone/backbone.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { idUsed } from "../../protocol/message-id.js"

/** Hexadecimal digits of a hash that fit into the integer part of a number: 52 bits. */
const digestDigits = 13

/** Returns a hash of what a message says and to whom, to recognize another message of the same id. */
export function digestOf(message: ClientMessage<"MSG">): number {
  const { to, content, parts, in_reply_to, kind, mentions } = message
  const hasMore = parts ?? in_reply_to ?? kind ?? mentions
  const more = hasMore === undefined ? "" : JSON.stringify([parts, in_reply_to, kind, mentions])
  const digest = hash("sha256", `${to} ${more}\n${content}`, "hex")
  return Number.parseInt(digest.slice(0, digestDigits), 16)
}

/** Returns whether the store had a message already. @throws {ChatError} ID_USED if it had another one of the id */
export function repetition(
  { isDuplicate, digest: first }: Pick<Appended, "isDuplicate" | "digest">,
  digest: number,
  { id }: Pick<ClientMessage<"MSG">, "id">,
): { isRepeated?: true } {
  if (!isDuplicate) return {}
  if (first !== undefined && first !== digest) throw idUsed(id)
  return { isRepeated: true }
}

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
  /** See {@link digestOf}. */
  readonly digest: number
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
  readonly #pending = new Map<string, { readonly digest: number; readonly ack: Promise<SentAck> }>()
  #young = new Map<number, Entry>()
  #old: ReadonlyMap<number, Entry> | undefined
  #size = 0

  constructor(count: number) {
    this.#count = count
  }

  /**
   * Returns the ack of a message that is sent again; a promise if the message is still being stored.
   * @returns undefined for an id that is new
   * @throws {ChatError} ID_USED if the id is that of another message; the promise may reject with it too
   */
  find(id: string, digest: number): SentAck | Promise<SentAck> | undefined {
    const hash = hashOf(id)
    const known = findIn(this.#young.get(hash), id) ?? findIn(this.#old?.get(hash), id)
    if (known !== undefined) return same(known, digest)
    // Without a store there are none, and looking up a string costs its hash.
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(id)
    return pending?.ack.then((ack) => same({ id, ack, digest: pending.digest }, digest))
  }

  /** Adds the ack of an id that {@link find} does not know. */
  remember(id: string, digest: number, ack: SentAck): void {
    if (this.#size >= this.#count) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    const hash = hashOf(id)
    this.#young.set(hash, { id, digest, ack, next: this.#young.get(hash) })
    this.#size++
  }

  /** Adds an ack when it resolves. If it is rejected, the id can be used again. */
  settle(id: string, digest: number, ack: Promise<SentAck>): Promise<SentAck> {
    const settled = this.#keep(id, digest, ack)
    this.#pending.set(id, { digest, ack: settled })
    return settled
  }

  async #keep(id: string, digest: number, ack: Promise<SentAck>): Promise<SentAck> {
    try {
      const kept = await ack
      this.remember(id, digest, kept)
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

function findIn(first: Entry | undefined, id: string): Entry | undefined {
  for (let entry = first; entry !== undefined; entry = entry.next) {
    if (entry.id === id) return entry
  }
  return undefined
}

/** @throws {ChatError} ID_USED if the entry is that of another message */
function same({ id, ack, digest }: Pick<Entry, "id" | "ack" | "digest">, wanted: number): SentAck {
  if (digest !== wanted) throw idUsed(id.slice(id.indexOf(".") + 1))
  return ack
}

/** FNV-1a, reduced to the 31 bits that V8 stores without an allocation. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return hash >>> 1
}
