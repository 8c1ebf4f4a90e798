import { ChatError } from "../protocol/errors.js"
import type { AgentId } from "../protocol/names.js"
import type { Budget } from "./budget.js"
import type { Payload } from "./payload.js"

/** A direct message that its recipient has not confirmed. */
export interface Letter {
  readonly messageId: string
  readonly from: AgentId
  /** The message as the recipient reads it. */
  readonly payload: Payload
}

/** Bounds of one mailbox. */
export interface MailboxLimits {
  readonly mailboxMessages: number
  readonly mailboxBytes: number
}

/** Direct messages of one identity, in order, each kept until the recipient says it is safely on disk. */
export class Mailbox {
  readonly #limits: MailboxLimits
  readonly #budget: Budget
  readonly #letters = new Map<string, Letter>()
  #bytes = 0

  constructor(limits: MailboxLimits, budget: Budget) {
    this.#limits = limits
    this.#budget = budget
  }

  get isEmpty(): boolean {
    return this.#letters.size === 0
  }

  /** All that waits, oldest first. */
  letters(): Iterable<Letter> {
    return this.#letters.values()
  }

  /** @throws {ChatError} MAILBOX_FULL; nothing that waits is dropped to make room */
  put(letter: Letter): void {
    const { bytes } = letter.payload
    const isFull =
      this.#letters.size >= this.#limits.mailboxMessages ||
      this.#bytes + bytes > this.#limits.mailboxBytes ||
      !this.#budget.fits(bytes)
    if (isFull) {
      throw new ChatError("MAILBOX_FULL", "to: the recipient has not fetched its waiting messages", {
        retryAfterMs: 60_000,
      })
    }
    this.#letters.set(letter.messageId, letter)
    this.#bytes += bytes
    this.#budget.take(bytes)
  }

  /** Ends the wait of one message. Absent when it did not wait. */
  confirm(messageId: string): Letter | undefined {
    const letter = this.#letters.get(messageId)
    if (letter === undefined) return undefined
    this.#letters.delete(messageId)
    this.#bytes -= letter.payload.bytes
    this.#budget.give(letter.payload.bytes)
    return letter
  }
}
