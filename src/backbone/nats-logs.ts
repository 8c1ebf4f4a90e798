import { createHash } from "node:crypto"
import {
  DiscardPolicy,
  type JetStreamApiError,
  PubHeaders,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream"
import { headers, nanos } from "@nats-io/transport-node"
import { ChatError } from "../protocol/errors.js"
import type { Appended, Keeping, LogEntry, LogStat, Logs, Subscription } from "./backbone.js"
import { checkEntryId, checkKey } from "./key.js"
import { Listeners } from "./listeners.js"
import { type NatsLink, toText, unavailable } from "./nats-connection.js"
import type { Delivery } from "./nats-delivery.js"
import { NatsFollow } from "./nats-follow.js"
import { NatsNumbers } from "./nats-numbers.js"
import { NatsPublisher } from "./nats-publisher.js"
import { NatsRemoval } from "./nats-removal.js"
import { ensureStream, fetch, forget, isAnswer, natsCodes, type Pull, select } from "./nats-stream.js"

/** When the relay took an entry; the acknowledgement of NATS does not tell when NATS did. */
const takenHeader = "Agentchat-Ts"
const duplicateWindowMs = 3_600_000
/** A request may bring this many entries more than were asked for, to save another look for the right place. */
const spareEntries = 64
const maxLooks = 12
/** Pause before a node that was behind is asked again. */
const lagMs = 100
const maxLags = 40
/** Headers and subject of an entry, at most. */
const overheadBytes = 2_048

/** A family of logs as one stream of JetStream, one subject per key. */
export class NatsLogs implements Logs {
  readonly #link: NatsLink
  readonly #stream: string
  readonly #prefix: string
  readonly #keeping: Keeping
  readonly #publisher: NatsPublisher
  readonly #removal: NatsRemoval
  readonly #numbers: NatsNumbers
  readonly #listeners = new Listeners<LogEntry>()
  #following: Promise<NatsFollow> | undefined

  private constructor(link: NatsLink, name: string, keeping: Keeping) {
    this.#link = link
    this.#stream = `${link.space}_log_${name.replaceAll(".", "_")}`
    this.#prefix = `${link.space}.log.${name}.`
    this.#keeping = keeping
    this.#numbers = new NatsNumbers(keeping.on)
    this.#removal = new NatsRemoval(link, this.#stream)
    this.#publisher = new NatsPublisher(link, (refusal) => (isFull(refusal) ? mailboxFull() : refusal))
  }

  /** Opens a family; the stream is made when there is none, now or after NATS lost it. */
  static async open(link: NatsLink, name: string, keeping: Keeping): Promise<NatsLogs> {
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
    const filter = this.#subject(key)
    if (limit <= 0) return []
    return this.#link.run(async () => {
      const newest = await this.#newest(filter)
      const place = this.#numbers.toStream(after)
      if (newest <= place) return []
      const messages = await this.#complete(filter, limit, newest, async () =>
        fetch(this.#link, await this.#select(filter, place + 1), limit),
      )
      return messages.map((message) => this.#toEntry(message))
    })
  }

  async last(key: string, count: number): Promise<LogEntry[]> {
    const filter = this.#subject(key)
    if (count <= 0) return []
    return this.#link.run(async () => {
      const newest = await this.#newest(filter)
      if (newest === 0) return []
      const messages = await this.#complete(filter, Infinity, newest, async () => {
        const pull = await this.#selectLast(filter, count)
        return (await fetch(this.#link, pull, pull.pending)).slice(-count)
      })
      return messages.map((message) => this.#toEntry(message))
    })
  }

  async stat(key: string): Promise<LogStat> {
    const subject = this.#subject(key)
    return this.#link.run(async () => {
      const { last, newest, count } = await this.#look(subject)
      if (newest === 0) return this.#toStat({ first: last + 1, last, count: 0 })
      const pull = await this.#select(subject, 1)
      const [oldest] = await fetch(this.#link, pull, 1)
      return this.#toStat({ first: oldest?.seq ?? newest + 1, last: newest, count })
    })
  }

  async trim(key: string, seq: number): Promise<void> {
    await this.#removal.upTo(this.#subject(key), this.#numbers.toStream(seq))
  }

  async drop(key: string): Promise<void> {
    const filter = this.#subject(key)
    await this.#link.run(() => this.#link.jsm.streams.purge(this.#stream, { filter }))
  }

  keys(): Promise<string[]> {
    return this.#link.run(async () => {
      const info = await this.#info(`${this.#prefix}>`)
      return Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(this.#prefix.length))
    })
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
    const { maxEntries, maxAgeMs = 0, atBound, on } = this.#keeping
    const refuses = atBound === "refuse-new"
    const ensured = await ensureStream(this.#link, {
      name: this.#stream,
      subjects: [`${this.#prefix}>`],
      retention: RetentionPolicy.Limits,
      storage: on === "disk" ? StorageType.File : StorageType.Memory,
      max_msgs_per_subject: maxEntries,
      max_age: nanos(maxAgeMs),
      discard: refuses ? DiscardPolicy.New : DiscardPolicy.Old,
      discard_new_per_subject: refuses,
      duplicate_window: nanos(maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs)),
      allow_direct: true,
    })
    const { created } = await this.#link.quickJsm.streams.info(this.#stream)
    this.#numbers.begin(created)
    return ensured
  }

  #subject(key: string): string {
    checkKey(key)
    return this.#prefix + key
  }

  #info(subjects: string) {
    return this.#link.jsm.streams.info(this.#stream, { subjects_filter: subjects, deleted_details: false })
  }

  /** `last` of the stream, and of one subject its newest number, 0 without any, and how many there are. */
  async #look(subject: string): Promise<{ first: number; last: number; newest: number; count: number }> {
    const info = await this.#info(subject)
    const count = info.state.subjects?.[subject] ?? 0
    const { first_seq: first, last_seq: last } = info.state
    if (count === 0) return { first, last, newest: 0, count }
    return { first, last, newest: await this.#newest(subject), count }
  }

  /** The number of the newest entry of a subject, as the leader of the stream knows it; 0 without any. */
  async #newest(subject: string): Promise<number> {
    const newest = await this.#link.jsm.streams.getMessage(this.#stream, { last_by_subj: subject })
    return newest?.seq ?? 0
  }

  /**
   * Reads until it has `limit` entries or comes as far as `newest`. Any node of a cluster may answer a read, and one
   * that is behind does not know it; another try is another node's, or finds it further.
   */
  async #complete(
    filter: string,
    limit: number,
    newest: number,
    read: () => Promise<Delivery[]>,
  ): Promise<Delivery[]> {
    for (let tries = 0, goal = newest; tries < maxLags; tries++) {
      const messages = await read()
      if (messages.length >= limit || (messages.at(-1)?.seq ?? 0) >= goal) return messages
      await this.#link.pause(lagMs)
      // What was removed meanwhile is not waited for.
      goal = Math.min(goal, await this.#newest(filter))
    }
    throw unavailable("a node of NATS stays behind")
  }

  /**
   * A selection of at least the newest `count` entries and little more. NATS counts messages from a number on,
   * but finds no number for a count: it is guessed, as if the entries stood evenly in the stream.
   */
  async #selectLast(filter: string, count: number): Promise<Pull> {
    const { first, newest, count: all } = await this.#look(filter)
    let low = { from: first, pending: all }
    let high = { from: newest + 1, pending: 0 }
    let pull = await this.#select(filter, first)
    for (let looks = 0; looks < maxLooks && pull.pending > count + spareEntries; looks++) {
      const from = guess(low, high, count)
      if (from <= low.from || from >= high.from) break
      const nearer = await this.#select(filter, from)
      if (nearer.pending < count) {
        high = { from, pending: nearer.pending }
        forget(this.#link, nearer)
      } else {
        low = { from, pending: nearer.pending }
        forget(this.#link, pull)
        pull = nearer
      }
    }
    return pull
  }

  #select(filter: string, from: number): Promise<Pull> {
    return select(this.#link, { stream: this.#stream, filter, from })
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

  #toStat({ first, last, count }: LogStat): LogStat {
    return { first: this.#numbers.toLog(first), last: this.#numbers.toLog(last), count }
  }

  async #tsOf(seq: number): Promise<number> {
    const message = await this.#link.run(() => this.#link.jsm.streams.getMessage(this.#stream, { seq }))
    return Number(message?.header.get(takenHeader) ?? 0)
  }

  async #follow(): Promise<NatsFollow> {
    let life: { readonly created: string; last: number } | undefined
    const follow = new NatsFollow(this.#link, {
      stream: this.#stream,
      filter: `${this.#prefix}>`,
      begin: async () => {
        const { created, state } = await this.#link.jsm.streams.info(this.#stream)
        this.#numbers.begin(created)
        if (life === undefined) {
          life = { created, last: state.last_seq }
        } else if (life.created !== created) {
          this.#link.log(`nats: ${this.#stream} lost what it kept; all that it has now is new`)
          life = { created, last: 0 }
        }
        return life.last + 1
      },
      tell: (message) => {
        if (life === undefined || message.seq <= life.last) return
        life.last = message.seq
        this.#tell(this.#toEntry(message))
      },
    })
    await follow.open()
    return follow
  }

  #tell(entry: LogEntry): void {
    try {
      this.#listeners.tell(entry)
    } catch (error) {
      // An error here would end the connection's reader.
      this.#link.log(`nats: a listener of ${this.#stream} failed: ${toText(error)}`)
    }
  }
}

interface Place {
  readonly from: number
  readonly pending: number
}

/** Where about `count` entries should stand to the end, between two places whose counts are known. */
function guess(low: Place, high: Place, count: number): number {
  const wanted = count + spareEntries / 2
  const share = Math.min(1, Math.max(0, (wanted - high.pending) / (low.pending - high.pending)))
  const even = high.from - Math.ceil((high.from - low.from) * share)
  // The middle, where an even spread would not get nearer.
  const isNearer = even > low.from && even < high.from
  return isNearer ? even : Math.floor((low.from + high.from) / 2)
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
