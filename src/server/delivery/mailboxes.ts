import type { Appended, Backbone, LogEntry, Logs, Retention } from "../../backbone/backbone.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { isWrittenBy, mailEntryId } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"
import { ByteBudget } from "../sessions/byte-budget.js"
import { confirmableId, Mailbox, mailKey } from "./mailbox.js"
import { parseStored, type Stored } from "./message-json.js"

/** What waits for an identity. */
export interface WaitingMail {
  /** Beyond a thousand, with news of what became of the identity's own messages. */
  readonly count: number
  /** Of messages the asker may know of, at most {@link listedIds}. */
  readonly ids: readonly string[]
  readonly oldestTs: number | undefined
}

/** What a mail room tells the house. */
export interface MailEvents {
  /** A message or news was kept for somebody, by whichever relay. */
  onPosted(message: Stored): void
  readonly log: (line: string) => void
}

/** Ids told of at once. */
const listedIds = 100
/** Messages looked at to find them. */
const pageEntries = 1_000

/** Direct messages to persistent identities: each waits in the log of its recipient until that has it on disk. */
export class Mailboxes {
  readonly #logs: Logs
  readonly #events: MailEvents
  /** Only where what waits takes this process's memory. */
  readonly #budget: ByteBudget | undefined
  readonly #mailboxes = new Map<string, Mailbox>()
  readonly #trims = new Trims((key, seq) => this.#logs.trim(key, seq))

  private constructor(logs: Logs, budget: ByteBudget | undefined, events: MailEvents) {
    this.#logs = logs
    this.#budget = budget
    this.#events = events
  }

  static async open(backbone: Backbone, limits: Limits, events: MailEvents): Promise<Mailboxes> {
    const isInMemory = backbone.kind === "memory"
    const keeping: Retention = {
      maxEntries: isInMemory ? limits.mailboxMessages : limits.storedMailMessages,
      maxBytes: isInMemory ? limits.mailboxBytes : limits.storedMailBytes,
      whenFull: "refuse-new",
      storage: "disk",
    }
    const logs = await backbone.logs("inbox", keeping)
    const room = new Mailboxes(logs, isInMemory ? new ByteBudget(limits.mailTotalBytes) : undefined, events)
    await logs.subscribe((entry) => room.#take(entry))
    return room
  }

  /**
   * Keeps a message for `to`, and sends it as soon as that is online.
   * @param text - the whole message, JSON
   * @throws {ChatError} MAILBOX_FULL, UNAVAILABLE
   */
  async post(to: AgentId, messageId: string, text: string): Promise<Appended> {
    const bytes = Buffer.byteLength(text)
    if (this.#budget?.fits(bytes) === false) throw fullError()
    this.#budget?.take(bytes)
    try {
      const appended = await this.#logs.append(mailKey(to), messageId, text)
      if (appended.isDuplicate) this.#budget?.give(bytes)
      return appended
    } catch (error) {
      this.#budget?.give(bytes)
      throw error instanceof ChatError && error.code === "MAILBOX_FULL" ? fullError() : error
    }
  }

  /** Tells `to`, who is away, what became of a message of its own; what finds no room is not told. */
  postNews(to: AgentId, news: ServerMessage<"DELIVERY">): void {
    if (!persistentIdPattern.test(to)) return
    const id = mailEntryId.delivery(news.msg_id, news.state, news.by)
    this.post(to, id, JSON.stringify(news)).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`news for ${to} is lost: ${error.code}`)
    })
  }

  /**
   * Sends `agent`, who came online, what waits.
   * @param confirms - whether it says what it has
   * @param onMirrored - told of each message that it says it has on disk
   */
  open(agent: Agent, confirms: boolean, onMirrored: (messageId: string) => void): void {
    const key = mailKey(agent.id)
    const mailbox = new Mailbox({
      agent,
      logs: this.#logs,
      confirms,
      events: {
        onConfirmedTo: (seq, bytes) => {
          this.#budget?.give(bytes)
          this.#confirmed(key, seq)
        },
        onMirrored,
        onFailed: (error) => this.#events.log(`mail of ${agent.id} cannot be read now: ${error.message}`),
      },
    })
    this.#mailboxes.get(key)?.close()
    this.#mailboxes.set(key, mailbox)
    agent.mailbox = mailbox
    mailbox.readOn()
  }

  /** `agent` is gone. */
  close(agent: Agent): void {
    const key = mailKey(agent.id)
    agent.mailbox?.close()
    if (this.#mailboxes.get(key) === agent.mailbox) this.#mailboxes.delete(key)
  }

  /** The store can be reached again: goes on where reading failed. */
  readOn(): void {
    for (const mailbox of this.#mailboxes.values()) mailbox.readOn()
  }

  /** What waits for `id`, as `asker` may know it: of its own mail all ids, of another's those it wrote. */
  async waitingFor(id: AgentId, asker: AgentId): Promise<WaitingMail> {
    const key = mailKey(id)
    // One page: somebody who asks again and again must not have a whole mailbox read each time.
    const page = await this.#logs.read(key, 0, pageEntries)
    const messages = page.flatMap((entry) => {
      const messageId = confirmableId(parseStored(entry))
      return messageId === undefined ? [] : [{ ts: entry.ts, messageId }]
    })
    const isWhole = page.length < pageEntries
    const count = isWhole ? messages.length : (await this.#logs.stat(key)).count
    const known = messages.filter(({ messageId }) => id === asker || isWrittenBy(asker, messageId))
    const ids = known.slice(0, listedIds).map(({ messageId }) => messageId)
    return { count, ids, oldestTs: messages[0]?.ts }
  }

  #take(entry: LogEntry): void {
    const message = parseStored(entry)
    this.#events.onPosted(message)
    this.#mailboxes.get(entry.key)?.take(entry, message)
  }

  #confirmed(key: string, seq: number): void {
    this.#trims.trim(key, seq).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`mail that arrived is not cleared yet: ${error.message}`)
    })
  }
}

/** Clears logs from the front, one call at a time for each: what is confirmed meanwhile goes with the next. */
class Trims {
  readonly #trim: (key: string, seq: number) => Promise<void>
  /** Keys being trimmed, with how far to go next. */
  readonly #wanted = new Map<string, number>()

  constructor(trim: (key: string, seq: number) => Promise<void>) {
    this.#trim = trim
  }

  async trim(key: string, seq: number): Promise<void> {
    const isBusy = this.#wanted.has(key)
    this.#wanted.set(key, seq)
    if (isBusy) return
    try {
      for (let done = 0; ; ) {
        const next = this.#wanted.get(key) ?? 0
        if (next <= done) return
        await this.#trim(key, next)
        done = next
      }
    } finally {
      this.#wanted.delete(key)
    }
  }
}

function fullError(): ChatError {
  return new ChatError("MAILBOX_FULL", "to: the recipient has not fetched its waiting messages", {
    retryAfterMs: 60_000,
  })
}
