import type { LogEntry, Logs } from "../../backbone/backbone.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import { payloadOf } from "../wire/payload.js"
import { parseStored, type Stored } from "./message-json.js"

/** Messages on their way that the recipient has not confirmed, beyond which the next ones wait in the log. */
const windowMessages = 1_000
/** The same in bytes. */
const windowBytes = 1024 * 1024
/** Entries read at once. */
const pageEntries = 200

/** An entry on its way. */
interface Letter {
  readonly seq: number
  readonly bytes: number
}

/** What the owner of a mailbox is told. */
export interface MailboxEvents {
  /** The recipient has all entries up to `seq`, `bytes` more than at the last call. */
  onConfirmedTo(seq: number, bytes: number): void
  /** The recipient has this message on disk. */
  onMirrored(messageId: string): void
  /** The log could not be read; it is tried again when {@link Mailbox.readOn} is called. */
  onFailed(error: ChatError): void
}

/** How a mailbox is made. */
export interface MailboxOptions {
  readonly agent: Agent
  readonly logs: Logs
  /** Whether the peer says RECEIVED; what the first AgentChat was sent counts as received. */
  readonly confirms: boolean
  readonly events: MailboxEvents
}

/**
 * Sends one identity that is online its direct messages, in the order of their log: first those that waited,
 * then each as it comes. Not more than the window goes ahead of what the recipient confirmed.
 */
export class Mailbox {
  readonly #agent: Agent
  readonly #logs: Logs
  readonly #confirms: boolean
  readonly #events: MailboxEvents
  readonly #key: string
  /** Not confirmed, by message id, in the order they were sent. */
  readonly #letters = new Map<string, Letter>()
  /** Sent after the last that is known to be confirmed with all before it. */
  #sent: Letter[] = []
  #bytes = 0
  #sentSeq = 0
  #confirmedSeq = 0
  #isReading = false
  #hasMore = true
  #isClosed = false

  constructor({ agent, logs, confirms, events }: MailboxOptions) {
    this.#agent = agent
    this.#logs = logs
    this.#confirms = confirms
    this.#events = events
    this.#key = mailKey(agent.id)
  }

  /** An entry was added to the log. */
  take(entry: LogEntry, message?: Stored): void {
    if (entry.seq <= this.#sentSeq) return
    if (this.#isReading || this.#hasMore || this.#isFull) this.#hasMore = true
    else this.#send(entry, message)
  }

  /** Takes note of what is safely on the recipient's disk; ids it never was sent mean nothing. */
  confirm(messageIds: readonly string[]): void {
    for (const id of messageIds) {
      if (this.#settle(id)) this.#events.onMirrored(id)
    }
    this.#moveOn()
    if (this.#hasMore) this.readOn()
  }

  /** Sends what waits, as far as the window allows. */
  readOn(): void {
    if (!this.#isReading && !this.#isClosed) void this.#read()
  }

  /** The session ended: what was not confirmed stays in the log. */
  close(): void {
    this.#isClosed = true
  }

  get #isFull(): boolean {
    return this.#letters.size >= windowMessages || this.#bytes >= windowBytes
  }

  async #read(): Promise<void> {
    this.#isReading = true
    this.#hasMore = true
    try {
      while (this.#hasMore && !this.#isFull) {
        // An entry that is told while the page is read sets this again.
        this.#hasMore = false
        const page = await this.#logs.read(this.#key, this.#sentSeq, pageEntries)
        if (this.#isClosed) return
        for (const entry of page) if (entry.seq > this.#sentSeq) this.#send(entry)
        if (page.length > 0) this.#hasMore = true
      }
    } catch (error) {
      this.#hasMore = true
      if (!(error instanceof ChatError)) throw error
      this.#events.onFailed(error)
    } finally {
      // Not a moment later: what is told from here on waits for no other reading.
      this.#isReading = false
    }
  }

  #send(entry: LogEntry, message?: Stored): void {
    const { seq, value } = entry
    this.#sentSeq = seq
    const payload = payloadOf(value)
    const letter = { seq, bytes: payload.bytes }
    this.#agent.outgoing.send(payload)
    this.#sent.push(letter)
    const messageId = this.#confirms ? confirmableId(message ?? parseStored(entry)) : undefined
    if (messageId !== undefined) {
      this.#letters.set(messageId, letter)
      this.#bytes += letter.bytes
    }
    this.#moveOn()
  }

  #settle(messageId: string): boolean {
    const letter = this.#letters.get(messageId)
    if (letter === undefined) return false
    this.#letters.delete(messageId)
    this.#bytes -= letter.bytes
    return true
  }

  #moveOn(): void {
    const [oldest] = this.#letters.values()
    const seq = oldest === undefined ? this.#sentSeq : oldest.seq - 1
    if (seq <= this.#confirmedSeq) return
    this.#confirmedSeq = seq
    const rest = this.#sent.findIndex((letter) => letter.seq > seq)
    const passed = this.#sent.splice(0, rest < 0 ? this.#sent.length : rest)
    this.#events.onConfirmedTo(
      seq,
      passed.reduce((sum, { bytes }) => sum + bytes, 0),
    )
  }
}

/** An identity's key in the log of direct messages. */
export function mailKey(id: AgentId): string {
  return id.slice(1)
}

/** The id of a message or statement to be confirmed; news of a delivery is not. */
export function confirmableId(message: Stored): string | undefined {
  return message.type === "DELIVERY" ? undefined : message.msg_id
}
