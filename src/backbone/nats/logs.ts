import { createHash } from "node:crypto"
import {
  DiscardPolicy,
  type JetStreamApiError,
  PubHeaders,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream"
import { headers, nanos } from "@nats-io/transport-node"
import { ChatError } from "../../protocol/errors.js"
import type { Appended, LogEntry, LogStat, Logs, Retention, Subscription } from "../backbone.js"
import { checkKey } from "../backbone.js"
import { checkEntryId } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import { type NatsLink, toText } from "./connection.js"
import type { Delivery } from "./delivery.js"
import { NatsFollow } from "./follow.js"
import { NatsLogReader } from "./log-reader.js"
import { NatsPublisher } from "./publisher.js"
import { NatsRemoval } from "./removal.js"
import { NatsSequence } from "./sequence.js"
import { ensureStream, isAnswer, natsCodes } from "./stream.js"

/** When the relay took an entry; the acknowledgement of NATS does not tell when NATS did. */
const takenHeader = "Agentchat-Ts"
const duplicateWindowMs = 3_600_000
/** Headers and subject of an entry, at most. */
const overheadBytes = 2_048

/** A family of logs as one stream of JetStream, one subject per key. */
export class NatsLogs implements Logs {
  readonly #link: NatsLink
  readonly #stream: string
  readonly #prefix: string
  readonly #keeping: Retention
  readonly #publisher: NatsPublisher
  readonly #removal: NatsRemoval
  readonly #reading: NatsLogReader
  readonly #numbers: NatsSequence
  readonly #listeners = new Listeners<LogEntry>()
  #following: Promise<NatsFollow> | undefined
  /** The stream that is followed, and the number of the newest entry that was told. */
  #life: { readonly created: string; last: number } | undefined
  /** When the stream was made of which an entry was told last. */
  #usedLife: string | undefined

  private constructor(link: NatsLink, name: string, keeping: Retention) {
    this.#link = link
    this.#stream = `${link.space}_log_${name.replaceAll(".", "_")}`
    this.#prefix = `${link.space}.log.${name}.`
    this.#keeping = keeping
    this.#reading = new NatsLogReader(link, this.#stream)
    this.#numbers = new NatsSequence(keeping.storage)
    this.#removal = new NatsRemoval(link, this.#stream)
    this.#publisher = new NatsPublisher(link, (refusal) => (isFull(refusal) ? mailboxFull() : refusal))
  }

  /** Opens a family; the stream is made when there is none, now or after NATS lost it. */
  static async open(link: NatsLink, name: string, keeping: Retention): Promise<NatsLogs> {
    checkKey(name)
    const logs = new NatsLogs(link, name, keeping)
    await link.insist(logs.#stream, () => logs.#ensure())
    link.onRestore(async () => {
      const { isNew } = await logs.#ensure()
      if (isNew) link.log(`nats: ${logs.#stream} was gone; it begins anew`)
    })
    return logs
  }

  async append(key: string, id: string, value: string): Promise<Appended> {
    const subject = this.#subject(key)
    checkEntryId(id)
    const data = Buffer.from(value)
    checkSize(this.#link, data)
    const ts = this.#link.clock.now()
    const about = headers()
    about.set(PubHeaders.MsgIdHdr, `${key}:${toHeaderText(id)}`)
    about.set(PubHeaders.ExpectedStreamHdr, this.#stream)
    about.set(takenHeader, String(ts))
    const ack = await this.#publisher.publish(subject, data, about)
    const seq = this.#numbers.toLog(ack.seq)
    if (ack.duplicate !== true) return { seq, ts, isDuplicate: false }
    return { seq, ts: await this.#tsOf(ack.seq), isDuplicate: true }
  }

  async read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    const subject = this.#subject(key)
    if (limit <= 0) return []
    const place = this.#numbers.toStream(after)
    const messages = await this.#link.run(() => this.#reading.after(subject, place, limit))
    return messages.map((message) => this.#toEntry(message))
  }

  async last(key: string, count: number): Promise<LogEntry[]> {
    const subject = this.#subject(key)
    if (count <= 0) return []
    const messages = await this.#link.run(() => this.#reading.last(subject, count))
    return messages.map((message) => this.#toEntry(message))
  }

  async stat(key: string): Promise<LogStat> {
    const subject = this.#subject(key)
    const { oldest, newest, count } = await this.#link.run(() => this.#reading.standing(subject))
    return { first: this.#numbers.toLog(oldest), last: this.#numbers.toLog(newest), count }
  }

  async trim(key: string, seq: number): Promise<void> {
    await this.#removal.upTo(this.#subject(key), this.#numbers.toStream(seq))
  }

  async drop(key: string): Promise<void> {
    const filter = this.#subject(key)
    await this.#link.run(() => this.#link.jsm.streams.purge(this.#stream, { filter }))
  }

  async keys(): Promise<string[]> {
    const subjects = await this.#link.run(() => this.#reading.subjects(`${this.#prefix}>`))
    return subjects.map((subject) => subject.slice(this.#prefix.length))
  }

  async subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    this.#following ??= this.#follow()
    const following = this.#following
    try {
      await following
    } catch (error) {
      if (this.#following === following) this.#following = undefined
      throw error
    }
    return this.#listeners.add(listener)
  }

  /** Nothing is told afterwards. */
  close(): void {
    this.#following?.then(
      (follow) => follow.close(),
      () => {},
    )
  }

  async #ensure(): Promise<{ isNew: boolean }> {
    const { maxEntries, maxAgeMs = 0, whenFull, storage } = this.#keeping
    const refuses = whenFull === "refuse-new"
    const ensured = await ensureStream(this.#link, {
      name: this.#stream,
      subjects: [`${this.#prefix}>`],
      retention: RetentionPolicy.Limits,
      storage: storage === "disk" ? StorageType.File : StorageType.Memory,
      max_msgs_per_subject: maxEntries,
      max_age: nanos(maxAgeMs),
      discard: refuses ? DiscardPolicy.New : DiscardPolicy.Old,
      discard_new_per_subject: refuses,
      duplicate_window: nanos(maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs)),
      allow_direct: true,
    })
    const { streams } = this.#link.quickJsm
    const { created, state } = await streams.info(this.#stream)
    this.#numbers.begin(created)
    if (state.last_seq > 0) return ensured
    const seq = this.#numbers.afterLoss(this.#link.clock.now(), this.#usedLife === created)
    if (seq !== undefined) await streams.purge(this.#stream, { seq })
    return ensured
  }

  #subject(key: string): string {
    checkKey(key)
    return this.#prefix + key
  }

  #toEntry(message: Delivery): LogEntry {
    const taken = Number(message.headers?.get(takenHeader))
    return {
      key: message.subject.slice(this.#prefix.length),
      seq: this.#numbers.toLog(message.seq),
      ts: taken > 0 ? taken : message.ts,
      value: message.text(),
    }
  }

  async #tsOf(seq: number): Promise<number> {
    const message = await this.#link.run(() => this.#link.jsm.streams.getMessage(this.#stream, { seq }))
    return Number(message?.header.get(takenHeader) ?? 0)
  }

  async #follow(): Promise<NatsFollow> {
    const follow = new NatsFollow(this.#link, {
      stream: this.#stream,
      filter: `${this.#prefix}>`,
      begin: async () => {
        const { created, state } = await this.#link.jsm.streams.info(this.#stream)
        this.#numbers.begin(created)
        const isLost =
          this.#life !== undefined && (this.#life.created !== created || state.last_seq < this.#life.last)
        if (isLost) this.#link.log(`nats: ${this.#stream} lost what it kept; all that it has now is new`)
        if (isLost) this.#life = { created, last: 0 }
        this.#life ??= { created, last: state.last_seq }
        return this.#life.last + 1
      },
      tell: (message) => {
        if (this.#life === undefined || message.seq <= this.#life.last) return
        this.#life.last = message.seq
        this.#usedLife = this.#life.created
        this.#tell(this.#toEntry(message))
      },
    })
    await follow.open()
    return follow
  }

  #tell(entry: LogEntry): void {
    try {
      this.#listeners.emit(entry)
    } catch (error) {
      // An error here would end the connection's reader.
      this.#link.log(`nats: a listener of ${this.#stream} failed: ${toText(error)}`)
    }
  }
}

function isFull(refusal: JetStreamApiError): boolean {
  return isAnswer(refusal, natsCodes.storeFailed) && refusal.message.includes("per subject")
}

function mailboxFull(): ChatError {
  return new ChatError("MAILBOX_FULL", "as much waits there as is kept", {
    hint: "try again when the reader has taken some",
  })
}

/**
 * Refuses what NATS would not take in one message.
 * @throws {ChatError} INVALID_MSG
 */
export function checkSize(link: NatsLink, data: Buffer): void {
  const max = (link.nc.info?.max_payload ?? Infinity) - overheadBytes
  if (data.length > max) {
    throw new ChatError("INVALID_MSG", `NATS takes at most ${max} bytes at once`)
  }
}

/** An id as it may stand in a header. */
function toHeaderText(id: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(id)) return id
  return createHash("sha256").update(id).digest("base64url")
}
