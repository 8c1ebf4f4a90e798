import { EventEmitter } from "node:events"
import type { Appended, Backbone, LogEntry, Logs } from "../../backbone/backbone.js"
import { type Clock, delay, repeat, type Timer } from "../../base/clock.js"
import { KeyedMutex } from "../../base/keyed-mutex.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { authorOf, isWrittenBy } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { fullError, type Letter, MailShares } from "./mail-shares.js"
import { isNotice, letterOf, Mailbox, mailKey } from "./mailbox.js"
import { parseStored, type Stored } from "./message-json.js"

/** The messages in the mailbox of an agent. */
interface WaitingMail {
  /** Beyond a thousand, notices are counted too. */
  readonly count: number
  /** Ids of messages the asker may know, at most {@link listedIds}. */
  readonly ids: readonly string[]
  readonly oldestTs: number | undefined
}

/** Events of {@link Mailboxes}. */
interface MailboxesEvents {
  /** A message was added to a mailbox, by this relay or another one. */
  posted: [message: Stored]
}

/** Name of the family of logs that hold mailboxes. */
export const mailFamily = "inbox"

const listedIds = 100
/** Messages read to find those ids. */
const pageEntries = 1_000
/** Milliseconds after which a notice that could not be stored is tried again, and how many may wait for that. */
const retryMs = 1_000
const waitingNotices = 10_000
/** Milliseconds between two counts of what the store has. */
const countMs = 60_000

interface MailboxesOptions {
  readonly sessions: SessionRegistry
  /** Names the agent that a replaced id belongs to now. */
  readonly roster: Pick<Roster, "currentId">
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (line: string) => void
}

/**
 * The mailboxes of all agents that have a key. A direct message stays in the log of its recipient until the
 * recipient confirms that it is on its disk.
 */
export class Mailboxes extends EventEmitter<MailboxesEvents> {
  readonly #logs: Logs
  readonly #roster: Pick<Roster, "currentId">
  readonly #clock: Clock
  readonly #log: (line: string) => void
  /** Its id begins the ids by which clients confirm a DELIVERY. */
  readonly #backbone: Pick<Backbone, "id">
  readonly #shares: MailShares
  /** Mailboxes of the agents that are connected here. */
  readonly #open = new Map<string, Mailbox>()
  /** Moves the mail of one id at a time. */
  readonly #moves = new KeyedMutex()
  /** Logs that are being trimmed, with the number up to which to trim next. */
  readonly #trims = new Map<string, number>()
  #waitingNotices = 0
  #countTimer: Timer | undefined

  private constructor(
    backbone: Backbone,
    logs: Logs,
    shares: MailShares,
    { roster, clock, log }: MailboxesOptions,
  ) {
    super()
    this.#logs = logs
    this.#roster = roster
    this.#backbone = backbone
    this.#shares = shares
    this.#clock = clock
    this.#log = log
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: MailboxesOptions): Promise<Mailboxes> {
    const { limits, sessions } = options
    const isInMemory = backbone.kind === "memory"
    const maxEntries = isInMemory ? limits.mailboxMessages : limits.storedMailMessages
    const maxBytes = isInMemory ? limits.mailboxBytes : limits.storedMailBytes
    const bounds = { maxEntries, maxBytes, maxAgeMs: limits.mailMs }
    const logs = await backbone.logs(mailFamily, { ...bounds, whenFull: "refuse-new", isIndexed: true })
    const shares = new MailShares({
      ...{ maxMessages: maxEntries, maxBytes },
      totalBytes: isInMemory ? limits.mailTotalBytes : limits.storedMailTotalBytes,
      keylessBytes: limits.keylessMailBytes,
      originOf: (author) => sessions.find(author)?.agent.origin ?? author,
    })
    shares.noteTotal(await logs.size())
    const mailboxes = new Mailboxes(backbone, logs, shares, options)
    await logs.subscribe((entry) => mailboxes.#onEntry(entry))
    mailboxes.#countTimer = repeat(mailboxes.#clock, countMs, () => mailboxes.#count())
    return mailboxes
  }

  /** Counts again what the store has: entries expire, and other relays add and remove some. */
  async #count(): Promise<void> {
    try {
      for (const key of this.#shares.keys()) {
        if (!this.#open.has(key)) this.#shares.noteCount(key, (await this.#logs.stat(key)).count)
      }
      this.#shares.noteTotal(await this.#logs.size())
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
    }
  }

  /** Stops counting. */
  stop(): void {
    this.#countTimer?.cancel()
  }

  /**
   * Adds a message to the mailbox of the agent that has, or had, the id `to`. A message with an id that was added before
   * is not added again.
   * @param text - the whole message, JSON
   * @param digest - kept with the id, see {@link Logs.append}
   * @throws {ChatError} MAILBOX_FULL, UNAVAILABLE
   */
  async post(to: AgentId, messageId: string, text: string, digest?: number): Promise<Appended> {
    const key = mailKey(this.#roster.currentId(to))
    // Other ids in a mailbox name what a message is about.
    const isPlain = !messageId.includes("/")
    const stored = isPlain ? undefined : parseStored({ value: text })
    const letter =
      stored === undefined
        ? { author: authorOf(messageId), bytes: Buffer.byteLength(text) }
        : letterOf(stored, text)
    this.#shares.take(key, letter, this.#open.get(key)?.isLive === true)
    return await this.#append(key, messageId, text, letter, digest)
  }

  /** Adds a message that room was taken for. */
  async #append(key: string, id: string, text: string, letter: Letter, digest?: number): Promise<Appended> {
    try {
      const appended = await this.#logs.append(key, id, text, digest)
      if (appended.isDuplicate) this.#shares.give(key, letter)
      return appended
    } catch (error) {
      this.#shares.give(key, letter)
      throw error instanceof ChatError && error.code === "MAILBOX_FULL" ? fullError() : error
    }
  }

  /**
   * Adds a notice of the relay, as soon as the store can be reached. It is dropped if the mailbox is half full.
   * @param notice - for an agent with a key
   */
  async postNotice(to: AgentId, entryId: string, notice: Stored<"DELIVERY" | "INVITE">): Promise<void> {
    for (;;) {
      try {
        await this.post(to, entryId, JSON.stringify(notice))
        return
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        if (error.code !== "UNAVAILABLE" || this.#waitingNotices >= waitingNotices) {
          this.#log(`${notice.type} for ${to} is lost: ${error.code}`)
          return
        }
      }
      this.#waitingNotices++
      await delay(this.#clock, retryMs, { unref: true })
      this.#waitingNotices--
    }
  }

  /** Reports whether a notice with this id was added to the mailbox of an agent. @throws {ChatError} UNAVAILABLE */
  hadNotice(to: AgentId, entryId: string): Promise<boolean> {
    return this.#logs.has(mailKey(this.#roster.currentId(to)), entryId)
  }

  /** Moves all messages of one mailbox to another. @throws {ChatError} MAILBOX_FULL, UNAVAILABLE */
  move(from: AgentId, to: AgentId): Promise<void> {
    return this.#moves.run(from, () => this.#move(from, to))
  }

  async #move(from: AgentId, to: AgentId): Promise<void> {
    const key = mailKey(from)
    for (;;) {
      const page = await this.#logs.read(key, 0, pageEntries)
      const last = page.at(-1)
      if (last === undefined) return
      for (const entry of page) {
        const message = parseStored(entry)
        if (message === undefined) continue
        const id = isNotice(message) ? `moved.${from}.${entry.seq}` : message.msg_id
        const letter = letterOf(message, entry.value)
        const target = mailKey(this.#roster.currentId(to))
        this.#shares.force(target, letter)
        await this.#append(target, id, entry.value, letter)
        this.#shares.give(key, letter)
      }
      await this.#logs.trim(key, last.seq)
    }
  }

  /** Sends the agent of a session that begins the contents of its mailbox. */
  open({ agent, sendsReceived, confirmsNotices }: Session): void {
    const key = mailKey(agent.id)
    const mailbox = new Mailbox({
      agent,
      logs: this.#logs,
      sendsReceived,
      confirmsNotices,
      idPrefix: this.#backbone.id,
      onConfirmed: (seq, letters) => {
        for (const letter of letters) this.#shares.give(key, letter)
        void this.#trim(key, seq)
      },
      log: this.#log,
    })
    this.#open.get(key)?.close()
    this.#open.set(key, mailbox)
    agent.mailbox = mailbox
    mailbox.resume()
  }

  /** Closes the mailbox of an agent that went offline. */
  close(agent: Agent): void {
    const key = mailKey(agent.id)
    agent.mailbox?.close()
    if (this.#open.get(key) === agent.mailbox) this.#open.delete(key)
  }

  /** Continues where reading failed. Call when the store is reachable again. */
  resume(): void {
    for (const mailbox of this.#open.values()) mailbox.resume()
  }

  /**
   * Counts the messages that wait for `id`. Lists all ids if the asker is `id` itself, else those it wrote, also under
   * earlier ids.
   */
  async waitingFor(
    id: AgentId,
    { id: asker, formerly = [] }: Pick<Agent, "id" | "formerly">,
  ): Promise<WaitingMail> {
    const key = mailKey(id)
    // One page only, so that asking again and again does not read a whole mailbox each time.
    const page = await this.#logs.read(key, 0, pageEntries)
    const messages = page.flatMap((entry) => {
      const message = parseStored(entry)
      return message === undefined || isNotice(message) ? [] : [{ ts: entry.ts, messageId: message.msg_id }]
    })
    const isWhole = page.length < pageEntries
    const count = isWhole ? messages.length : (await this.#logs.stat(key)).count
    const isOwn = (messageId: string) => [asker, ...formerly].some((each) => isWrittenBy(each, messageId))
    const known = id === asker ? messages : messages.filter(({ messageId }) => isOwn(messageId))
    const ids = known.slice(0, listedIds).map(({ messageId }) => messageId)
    return { count, ids, oldestTs: messages[0]?.ts }
  }

  /** Returns the newest entries of the mailbox of an agent, oldest first. @throws {ChatError} UNAVAILABLE */
  newest(id: AgentId, count: number): Promise<LogEntry[]> {
    return this.#logs.last(mailKey(id), count)
  }

  /** Messages that arrived since this relay started, and bytes of all, as far as they are counted. */
  get depth(): { readonly messages: number; readonly bytes: number } {
    return this.#shares.depth
  }

  /** Returns how many messages wait for an agent that is not connected here; 0 for any other. */
  countUnsent(id: AgentId): number {
    const key = mailKey(id)
    return this.#open.has(key) ? 0 : this.#shares.countOf(key)
  }

  /** Returns whether anything waits for an agent. */
  async hasMail(id: AgentId): Promise<boolean> {
    return (await this.#logs.stat(mailKey(id))).count > 0
  }

  #onEntry(entry: LogEntry): void {
    const message = parseStored(entry)
    if (message !== undefined) this.emit("posted", message)
    this.#open.get(entry.key)?.onEntry(entry, message)
    this.#forward(entry.key)
  }

  /** Moves what another relay posted to an earlier id of an agent that is connected here, before it knew of the new one. */
  #forward(key: string): void {
    const from = `@${key}` as AgentId
    const to = this.#roster.currentId(from)
    if (to === from || !this.#open.has(mailKey(to))) return
    this.move(from, to).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#log(`mail for ${from} waits until ${to} connects again: ${error.message}`)
    })
  }

  /** Removes confirmed messages, with one call of the store at a time per mailbox. */
  async #trim(key: string, seq: number): Promise<void> {
    const isBusy = this.#trims.has(key)
    this.#trims.set(key, seq)
    if (isBusy) return
    try {
      for (let done = 0; ; ) {
        const next = this.#trims.get(key) ?? 0
        if (next <= done) return
        await this.#logs.trim(key, next)
        done = next
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#log(`delivered mail is not removed yet: ${error.message}`)
    } finally {
      this.#trims.delete(key)
    }
  }
}
