import { ChatError } from "../../protocol/errors.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import { FairShare, type Origin } from "../sessions/origin.js"

/** A message that is to be stored. */
export interface Letter {
  readonly bytes: number
  /** Undefined for a notice of the relay. */
  readonly author: AgentId | undefined
}

/** The part of a mailbox that one author has, charged to the origin it had first. */
interface Charge {
  readonly origin: Origin
  messages: number
  bytes: number
}

interface Box {
  /** Messages that agents wrote. */
  readonly messages: FairShare
  readonly bytes: FairShare
  readonly charges: Map<AgentId | undefined, Charge>
}

interface MailSharesOptions {
  /** Messages and bytes of one mailbox. */
  readonly maxMessages: number
  readonly maxBytes: number
  /** Bytes of all mailboxes. */
  readonly totalBytes: number
  /** Bytes that all agents without a key at one address may leave. */
  readonly keylessBytes: number
  /** Returns the origin of an author now. */
  readonly originOf: (author: AgentId) => Origin
}

/** Bytes that the store needs for an entry besides its text. */
const entryBytes = 64
/** A mailbox of fewer bytes, or fewer messages, is not divided. */
const dividedBytes = 65_536
const dividedMessages = 16
/** Part of all mailboxes that is reserved for messages to agents that read them at once. */
const liveShare = 0.25
/** Origins of what is charged to no agent: notices, and what was stored before this relay started. */
const relayOrigin: Origin = "relay"
const earlierOrigin: Origin = "earlier"

/**
 * Divides mailboxes among the origins of messages: each one, and all together. Only a message for an agent that is away,
 * or does not confirm, needs a share of the storage; another one leaves at once.
 */
export class MailShares {
  readonly #options: MailSharesOptions
  readonly #total: FairShare
  /** Bytes of agents without a key, by address. */
  readonly #keyless = new FairShare(Infinity)
  readonly #boxes = new Map<string, Box>()

  constructor(options: MailSharesOptions) {
    this.#options = options
    this.#total = new FairShare(options.totalBytes, dividedBytes)
  }

  /**
   * Takes room for a message.
   * @param isLive - whether the recipient reads its mail now
   * @throws {ChatError} MAILBOX_FULL
   */
  take(key: string, letter: Letter, isLive: boolean): void {
    const box = this.#boxes.get(key) ?? this.#makeBox()
    const charge = box.charges.get(letter.author)
    const origin = charge?.origin ?? this.#originOf(letter.author)
    const problem =
      letter.author === undefined ? this.#noticeProblem(box) : this.#problem(box, origin, letter, isLive)
    if (problem !== undefined) throw problem
    this.force(key, letter)
  }

  /** Takes room for a message that was accepted before. */
  force(key: string, { author, bytes }: Letter): void {
    const box = this.#boxes.get(key) ?? this.#makeBox()
    this.#boxes.set(key, box)
    const charge = box.charges.get(author) ?? { origin: this.#originOf(author), messages: 0, bytes: 0 }
    box.charges.set(author, charge)
    this.#change(box, author, charge, 1, bytes + entryBytes)
  }

  /** Gives back the room of a message that is no longer stored. */
  give(key: string, { author, bytes }: Letter): void {
    const box = this.#boxes.get(key)
    const charge = box?.charges.get(author)
    // Messages from before this relay started are counted in the total alone.
    if (box === undefined || charge === undefined) return
    this.#change(box, author, charge, -1, -Math.min(charge.bytes, bytes + entryBytes))
    if (box.charges.size === 0) this.#boxes.delete(key)
  }

  /** The mailboxes that something is charged for. */
  keys(): string[] {
    return [...this.#boxes.keys()]
  }

  /** Messages of agents that arrived since this relay started, and bytes of all mailboxes. */
  get depth(): { readonly messages: number; readonly bytes: number } {
    let messages = 0
    for (const box of this.#boxes.values()) messages += box.messages.total
    return { messages, bytes: this.#total.total }
  }

  /** Returns how many messages of agents a mailbox has that arrived since this relay started. */
  countOf(key: string): number {
    return this.#boxes.get(key)?.messages.total ?? 0
  }

  /** Notes how many messages a mailbox really has: others may have expired, or been confirmed to another relay. */
  noteCount(key: string, count: number): void {
    const box = this.#boxes.get(key)
    const charged = box === undefined ? 0 : sizeOf(box).messages
    if (box === undefined || count >= charged) return
    const part = count / charged
    for (const [author, charge] of [...box.charges]) {
      const messages = Math.ceil(charge.messages * part)
      const bytes = messages === 0 ? 0 : Math.ceil(charge.bytes * part)
      this.#change(box, author, charge, messages - charge.messages, bytes - charge.bytes)
    }
    if (box.charges.size === 0) this.#boxes.delete(key)
  }

  /** Notes the bytes of all mailboxes, those included that were stored by others. */
  noteTotal(bytes: number): void {
    const charged = this.#total.total - this.#total.usedBy(earlierOrigin)
    this.#total.give(earlierOrigin, this.#total.usedBy(earlierOrigin))
    this.#total.take(earlierOrigin, Math.max(0, bytes - charged))
  }

  #makeBox(): Box {
    const { maxMessages, maxBytes } = this.#options
    return {
      messages: new FairShare(maxMessages, dividedMessages),
      bytes: new FairShare(maxBytes, dividedBytes),
      charges: new Map(),
    }
  }

  #originOf(author: AgentId | undefined): Origin {
    return author === undefined ? relayOrigin : this.#options.originOf(author)
  }

  /** News of the relay never takes the second half of a mailbox. */
  #noticeProblem(box: Box): ChatError | undefined {
    const { maxMessages, maxBytes, totalBytes } = this.#options
    const { messages, bytes } = sizeOf(box)
    const isDivided = box.messages.isDivided && box.bytes.isDivided
    const isFull = isDivided && (messages * 2 >= maxMessages || bytes * 2 >= maxBytes)
    return isFull || this.#total.total >= totalBytes ? fullError() : undefined
  }

  #problem(box: Box, origin: Origin, { author, bytes }: Letter, isLive: boolean): ChatError | undefined {
    const { keylessBytes } = this.#options
    const size = bytes + entryBytes
    const live = isLive ? this.#options.totalBytes * liveShare : 0
    if (!this.#total.fits(origin, size, live)) return fullError("all mailboxes together are")
    if (isLive) return undefined
    const isKeyless = author !== undefined && !persistentIdPattern.test(author)
    if (isKeyless && this.#keyless.usedBy(origin) + size > keylessBytes) {
      return new ChatError(
        "MAILBOX_FULL",
        `to: agents without a key leave at most ${keylessBytes} bytes for agents that are away`,
        { retryAfterMs, hint: "use an identity" },
      )
    }
    if (box.messages.fits(origin) && box.bytes.fits(origin, size)) return undefined
    return fullError(box.messages.usedBy(origin) > 0 ? "your share of the mailbox is" : undefined)
  }

  #change(box: Box, author: AgentId | undefined, charge: Charge, messages: number, bytes: number): void {
    const { origin } = charge
    charge.messages += messages
    charge.bytes += bytes
    this.#total.take(origin, bytes)
    if (author !== undefined) {
      box.messages.take(origin, messages)
      box.bytes.take(origin, bytes)
      if (!persistentIdPattern.test(author)) this.#keyless.take(origin, bytes)
    }
    if (charge.messages <= 0) box.charges.delete(author)
  }
}

/** Returns what a mailbox has, notices included. */
function sizeOf({ messages, bytes, charges }: Box): { messages: number; bytes: number } {
  const news = charges.get(undefined)
  return { messages: messages.total + (news?.messages ?? 0), bytes: bytes.total + (news?.bytes ?? 0) }
}

const retryAfterMs = 60_000

/** The error of a message that no mailbox has room for. */
export function fullError(what = "the mailbox of the recipient is"): ChatError {
  return new ChatError("MAILBOX_FULL", `to: ${what} full`, { retryAfterMs })
}
