import { crc32 } from "node:zlib"
import type { Appended } from "../../backbone/backbone.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { idUsed } from "../../protocol/message-id.js"
import { taskFieldsOf } from "../../protocol/questions.js"
import { AckTable, type SentAck } from "./ack-table.js"
import type { IdBudget } from "./id-budget.js"

/** The digest of a message has 32 bits of its checksum and 20 of its length, which fit into the integer part of a number. */
const lengthRange = 2 ** 20

/**
 * Returns a digest of what a message says and to whom, to recognize another message of the same id. An author that makes
 * two messages of the same digest and gives them one id keeps only its own second message from arriving.
 */
export function digestOf(message: ClientMessage<"MSG">): number {
  const { to, content, parts, in_reply_to, kind, mentions } = message
  const task = taskFieldsOf(message)
  const hasMore = parts ?? in_reply_to ?? kind ?? mentions ?? task
  const more = hasMore === undefined ? "" : JSON.stringify([parts, in_reply_to, kind, mentions, task])
  return crc32(`${to} ${more}\n${content}`) * lengthRange + (content.length % lengthRange)
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

interface Sent<Ack> {
  /** See {@link digestOf}. */
  readonly digest: number
  readonly ack: Ack
}

/** The last message ids of one sender: at least `count` of them, at most twice as many. */
export class SentIds {
  readonly #count: number
  readonly #budget: IdBudget | undefined
  #young = new AckTable()
  #old: AckTable | undefined
  /** Acks that depend on a store that has not answered yet. */
  readonly #pending = new Map<string, Sent<Promise<SentAck>>>()

  /** @param budget - for the ids of all senders */
  constructor(count: number, budget?: IdBudget) {
    this.#count = count
    this.#budget = budget
  }

  /**
   * Returns the ack of a message that is sent again; a promise if the message is still being stored.
   * @returns undefined for an id that is new
   * @throws {ChatError} ID_USED if the id is that of another message; the promise may reject with it too
   */
  find(id: string, digest: number): SentAck | Promise<SentAck> | undefined {
    const known = this.#young.get(id) ?? this.#old?.get(id)
    if (known !== undefined) return same(id, known, digest)
    // Without a store there are none, and looking up a string costs its hash.
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(id)
    return pending?.ack.then((ack) => same(id, { ack, digest: pending.digest }, digest))
  }

  /** Adds the ack of an id that {@link find} does not know. */
  remember(id: string, digest: number, ack: SentAck): void {
    const { bytes } = this.#young
    if (this.#young.size >= this.#count) {
      this.#old = this.#young
      this.#young = new AckTable()
    }
    const isFirst = this.#young.size === 0
    this.#young.add(id, digest, ack)
    if (isFirst || this.#young.bytes !== bytes)
      this.#budget?.note(this, this.#young.bytes + (this.#old?.bytes ?? 0))
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
    this.#young = new AckTable()
    this.#old = undefined
    this.#budget?.note(this, 0)
  }
}

/** @throws {ChatError} ID_USED if the id is that of another message */
function same(id: string, { ack, digest }: Sent<SentAck>, wanted: number): SentAck {
  if (digest !== wanted) throw idUsed(id.slice(id.indexOf(".") + 1))
  return ack
}
