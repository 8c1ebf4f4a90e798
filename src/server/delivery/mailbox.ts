import type { LogEntry, Logs } from "../../backbone/backbone.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import { payloadOf } from "../wire/frame-encoder.js"
import { parseStored, type Stored } from "./message-json.js"

/** Messages sent but not confirmed. Beyond this the next ones stay in the log. */
const windowMessages = 1_000
/** The same in bytes. */
const windowBytes = 1024 * 1024
/** Entries read at once. */
const pageEntries = 200

/** A message that was sent. */
interface Sent {
  readonly seq: number
  readonly bytes: number
}

interface MailboxOptions {
  readonly agent: Agent
  readonly logs: Logs
  /** True if the client sends RECEIVED. Clients of the first AgentChat do not: a message sent counts as confirmed. */
  readonly sendsReceived: boolean
  /** Called when all entries up to `seq` are confirmed, `bytes` more than at the last call. */
  readonly onConfirmed: (seq: number, bytes: number) => void
  readonly log: (line: string) => void
}

/**
 * Sends the direct messages of one connected agent in the order of its log: first those that waited, then each
 * new one. At most one window of messages is ahead of what the agent has confirmed.
 */
export class Mailbox {
  readonly #agent: Agent
  readonly #logs: Logs
  readonly #sendsReceived: boolean
  readonly #onConfirmed: (seq: number, bytes: number) => void
  readonly #log: (line: string) => void
  readonly #key: string
  /** Messages that are not confirmed, by id, in the order they were sent. */
  readonly #unconfirmed = new Map<string, Sent>()
  #unconfirmedBytes = 0
  /** Messages sent after the last one up to which all are confirmed. */
  #sent: Sent[] = []
  #sentSeq = 0
  #confirmedSeq = 0
  #isReading = false
  #hasMore = true
  #isClosed = false

  constructor({ agent, logs, sendsReceived, onConfirmed, log }: MailboxOptions) {
    this.#agent = agent
    this.#logs = logs
    this.#sendsReceived = sendsReceived
    this.#onConfirmed = onConfirmed
    this.#log = log
    this.#key = mailKey(agent.id)
  }

  /** Sends an entry that was just added to the log, unless earlier ones still wait. */
  onEntry(entry: LogEntry, message?: Stored): void {
    if (entry.seq <= this.#sentSeq) return
    if (this.#isReading || this.#hasMore || this.#isFull) this.#hasMore = true
    else this.#send(entry, message)
  }

  /**
   * Marks messages as stored by the agent.
   * @returns those that were sent and not confirmed before
   */
  confirm(messageIds: readonly string[]): string[] {
    const confirmed = messageIds.filter((id) => this.#settle(id))
    this.#advance()
    if (this.#hasMore) this.resume()
    return confirmed
  }

  /** Sends what waits in the log, as far as the window allows. Call again after the store was unreachable. */
  resume(): void {
    if (!this.#isReading && !this.#isClosed) void this.#read()
  }

  /** Ends with the session. What is not confirmed stays in the log. */
  close(): void {
    this.#isClosed = true
  }

  get #isFull(): boolean {
    return this.#unconfirmed.size >= windowMessages || this.#unconfirmedBytes >= windowBytes
  }

  async #read(): Promise<void> {
    this.#isReading = true
    this.#hasMore = true
    try {
      while (this.#hasMore && !this.#isFull) {
        // onEntry sets this again for an entry that arrives while the page is read.
        this.#hasMore = false
        const page = await this.#logs.read(this.#key, this.#sentSeq, pageEntries)
        if (this.#isClosed) return
        for (const entry of page) if (entry.seq > this.#sentSeq) this.#send(entry)
        if (page.length > 0) this.#hasMore = true
      }
    } catch (error) {
      this.#hasMore = true
      if (!(error instanceof ChatError)) throw error
      this.#log(`mail of ${this.#agent.id} cannot be read now: ${error.message}`)
    } finally {
      // In the same turn as the last look: an entry that arrives later is sent by onEntry.
      this.#isReading = false
    }
  }

  #send(entry: LogEntry, message?: Stored): void {
    const { seq, value } = entry
    this.#sentSeq = seq
    const payload = payloadOf(value)
    const sent = { seq, bytes: payload.bytes }
    this.#agent.sendQueue.send(payload)
    this.#sent.push(sent)
    const messageId = this.#sendsReceived ? confirmableId(message ?? parseStored(entry)) : undefined
    if (messageId !== undefined) {
      this.#unconfirmed.set(messageId, sent)
      this.#unconfirmedBytes += sent.bytes
    }
    this.#advance()
  }

  #settle(messageId: string): boolean {
    const sent = this.#unconfirmed.get(messageId)
    if (sent === undefined) return false
    this.#unconfirmed.delete(messageId)
    this.#unconfirmedBytes -= sent.bytes
    return true
  }

  /** Reports how far the log is confirmed without a gap. */
  #advance(): void {
    const [oldest] = this.#unconfirmed.values()
    const seq = oldest === undefined ? this.#sentSeq : oldest.seq - 1
    if (seq <= this.#confirmedSeq) return
    this.#confirmedSeq = seq
    const rest = this.#sent.findIndex((sent) => sent.seq > seq)
    const passed = this.#sent.splice(0, rest < 0 ? this.#sent.length : rest)
    this.#onConfirmed(
      seq,
      passed.reduce((sum, { bytes }) => sum + bytes, 0),
    )
  }
}

/** Returns the key of an agent in the log of direct messages. */
export function mailKey(id: AgentId): string {
  return id.slice(1)
}

/** Returns the id by which the client confirms a message or statement; undefined for a DELIVERY. */
export function confirmableId(message: Stored): string | undefined {
  return message.type === "DELIVERY" ? undefined : message.msg_id
}
