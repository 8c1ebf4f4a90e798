import type { LogEntry, Logs } from "../../backbone/backbone.js"
import { ChatError } from "../../protocol/errors.js"
import { authorOf } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { Agent } from "../sessions/agent.js"
import type { Letter } from "./mail-shares.js"
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
  /** True for a notice of the relay, whose arrival is reported to nobody. */
  readonly isNotice: boolean
  /** Undefined for a notice. */
  readonly author: AgentId | undefined
  /** True once the client has confirmed it; its author then gets the stage. */
  isClaimed: boolean
}

interface MailboxOptions {
  readonly agent: Agent
  readonly logs: Logs
  /** True if the client sends RECEIVED. Clients of the first AgentChat do not: a message sent counts as confirmed. */
  readonly sendsReceived: boolean
  /** True if the client also confirms DELIVERY and INVITE; otherwise one that was sent counts as confirmed. */
  readonly confirmsNotices: boolean
  /** Start of the ids by which the client confirms a DELIVERY. */
  readonly idPrefix: string
  /** Called when all entries up to `seq` are confirmed, `letters` more than at the last call. */
  readonly onConfirmed: (seq: number, letters: readonly Letter[]) => void
  readonly log: (line: string) => void
}

/**
 * Sends the direct messages of one connected agent in the order of its log: first those that waited, then each
 * new one. At most one window of messages is ahead of what the agent has confirmed.
 */
export class Mailbox {
  readonly #options: MailboxOptions
  readonly #agent: Agent
  readonly #logs: Logs
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

  constructor(options: MailboxOptions) {
    this.#options = options
    this.#agent = options.agent
    this.#logs = options.logs
    this.#key = mailKey(options.agent.id)
  }

  /** Sends an entry that was just added to the log, unless earlier ones still wait. */
  onEntry(entry: LogEntry, message?: Stored): void {
    if (entry.seq <= this.#sentSeq) return
    if (this.#isReading || this.#hasMore || this.#isFull) this.#hasMore = true
    else this.#send(entry, message)
  }

  /**
   * Takes ids that the client confirms, each once.
   * @returns the messages among them, and how many of the ids were sent and not confirmed before
   */
  claim(ids: readonly string[]): { messages: string[]; known: number } {
    const messages: string[] = []
    let known = 0
    for (const id of ids) {
      const sent = this.#unconfirmed.get(id)
      if (sent === undefined || sent.isClaimed) continue
      sent.isClaimed = true
      known++
      if (!sent.isNotice) messages.push(id)
    }
    return { messages, known }
  }

  /** Marks messages and notices as stored by the agent. */
  confirm(ids: readonly string[]): void {
    for (const id of ids) this.#settle(id)
    this.#advance()
    if (this.#hasMore) this.resume()
  }

  /** Sends what waits in the log, as far as the window allows. Call again after the store was unreachable. */
  resume(): void {
    if (!this.#isReading && !this.#isClosed) void this.#read()
  }

  /** Ends with the session. What is not confirmed stays in the log. */
  close(): void {
    this.#isClosed = true
  }

  /** True if everything was sent, and the agent confirms what it gets. */
  get isLive(): boolean {
    return !this.#isReading && !this.#hasMore && !this.#isFull
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
      this.#options.log(`mail of ${this.#agent.id} cannot be read now: ${error.message}`)
    } finally {
      // In the same turn as the last look: an entry that arrives later is sent by onEntry.
      this.#isReading = false
    }
  }

  #send(entry: LogEntry, message?: Stored): void {
    const { seq, value } = entry
    this.#sentSeq = seq
    const stored = message ?? parseStored(entry)
    if (stored === undefined) {
      this.#options.log(`store: message ${seq} to ${this.#agent.id} is malformed and is left out`)
      return
    }
    const id = this.#idToConfirm(stored, seq)
    const hasOwnId = id === undefined || stored.type !== "DELIVERY"
    const text = hasOwnId ? value : `${value.slice(0, -1)},"mail_id":"${id}"}`
    const { author, bytes } = letterOf(stored, value)
    const sent = { seq, bytes, author, isNotice: isNotice(stored), isClaimed: false }
    if (!isNotice(stored)) this.#agent.memory.delivered.add(stored.msg_id)
    this.#agent.sendQueue.send(text)
    this.#sent.push(sent)
    if (id !== undefined) {
      this.#unconfirmed.set(id, sent)
      this.#unconfirmedBytes += sent.bytes
    }
    this.#advance()
  }

  /** Returns the id by which the client confirms an entry; undefined if it does not. */
  #idToConfirm(message: Stored, seq: number): string | undefined {
    const { sendsReceived, confirmsNotices, idPrefix } = this.#options
    if (!sendsReceived || (isNotice(message) && !confirmsNotices)) return undefined
    return message.type === "DELIVERY" ? `${idPrefix}/${seq}` : message.msg_id
  }

  #settle(id: string): void {
    const sent = this.#unconfirmed.get(id)
    if (sent === undefined) return
    this.#unconfirmed.delete(id)
    this.#unconfirmedBytes -= sent.bytes
  }

  /** Reports how far the log is confirmed without a gap. */
  #advance(): void {
    const [oldest] = this.#unconfirmed.values()
    const seq = oldest === undefined ? this.#sentSeq : oldest.seq - 1
    if (seq <= this.#confirmedSeq) return
    this.#confirmedSeq = seq
    const rest = this.#sent.findIndex((sent) => sent.seq > seq)
    const passed = this.#sent.splice(0, rest < 0 ? this.#sent.length : rest)
    this.#options.onConfirmed(seq, passed)
  }
}

/** Returns the key of an agent in the log of direct messages. */
export function mailKey(id: AgentId): string {
  return id.slice(1)
}

/** Returns what is charged for an entry. News of a message's stages is the relay's; its failure counts for its author. */
export function letterOf(message: Stored, text: string): Letter {
  const isNews = message.type === "DELIVERY" && message.state !== "failed"
  const author = isNews || message.msg_id === undefined ? undefined : authorOf(message.msg_id)
  return { author, bytes: Buffer.byteLength(text) }
}

/** Reports whether an entry is a notice of the relay rather than a message or a statement of an agent. */
export function isNotice(message: Stored): message is Stored<"DELIVERY" | "INVITE" | "TASK_EXPIRED"> {
  return message.type === "DELIVERY" || message.type === "INVITE" || message.type === "TASK_EXPIRED"
}
