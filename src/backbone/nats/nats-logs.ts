import { createHash, randomUUID } from "node:crypto"
import {
  DiscardPolicy,
  JetStreamApiError,
  PubHeaders,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream"
import { createInbox, headers, type Msg, type MsgHdrs, nanos } from "@nats-io/transport-node"
import {
  type Appended,
  checkKey,
  type LogEntry,
  type LogStat,
  type Logs,
  type Retention,
  type Subscription,
} from "../backbone.js"
import { checkEntryId, logFull } from "../entry-ids.js"
import { Listeners } from "../listeners.js"
import type { NumberGap } from "../numbering.js"
import type { StreamMessage } from "./consumer.js"
import { StreamFollower } from "./follower.js"
import { LogMessages } from "./log-messages.js"
import { errorText, type NatsClient, unavailable } from "./nats-client.js"
import { RemovedIds } from "./removed-ids.js"
import { ensureStream, hasCode, natsCodes, StreamNumbers } from "./stream.js"

/** Header with the time at which the relay appended an entry, because the acknowledgement of NATS has none. */
const tsHeader = "Agentchat-Ts"
const digestHeader = "Agentchat-Digest"
const duplicateWindowMs = 3_600_000

/** A family of logs as one stream of JetStream, with one subject per key. */
export class NatsLogs implements Logs {
  readonly #client: NatsClient
  readonly #stream: string
  readonly #prefix: string
  readonly #retention: Retention
  readonly #publisher: Publisher
  readonly #messages: LogMessages
  readonly #removedIds: RemovedIds
  readonly #numbers: StreamNumbers
  readonly #listeners = new Listeners<LogEntry>()
  #follower: Promise<StreamFollower> | undefined
  /** The creation time of the followed stream, and the number of the last message reported. */
  #followed: { readonly created: string; last: number } | undefined

  private constructor(client: NatsClient, name: string, retention: Retention) {
    this.#client = client
    this.#stream = `${client.space}_log_${name.replaceAll(".", "_")}`
    this.#prefix = `${client.space}.log.${name}.`
    this.#retention = retention
    this.#removedIds = new RemovedIds(client)
    this.#messages = new LogMessages(client, this.#stream, async (removed) => {
      const digest = removed?.get(digestHeader) ?? ""
      if (digest !== "") await this.#removedIds.add(removed?.get(PubHeaders.MsgIdHdr) ?? "", digest)
    })
    this.#numbers = new StreamNumbers()
    this.#publisher = new Publisher(client)
  }

  /** Opens a family. Creates its stream if there is none, now or after NATS lost it. */
  static async open(client: NatsClient, name: string, retention: Retention): Promise<NatsLogs> {
    checkKey(name)
    const logs = new NatsLogs(client, name, retention)
    await client.retry(logs.#stream, () => logs.#ensureStream())
    await client.retry(logs.#stream, () => logs.#removedIds.ensureStream())
    client.onRestore(async () => {
      await logs.#removedIds.ensureStream()
      const { isNew } = await logs.#ensureStream()
      if (isNew) client.log(`nats: ${logs.#stream} was lost and is created again`)
    })
    return logs
  }

  async append(key: string, id: string, value: string, digest?: number): Promise<Appended> {
    const subject = this.#subject(key)
    checkEntryId(id)
    const data = Buffer.from(value)
    this.#client.checkSize(data)
    const ts = this.#client.clock.now()
    const messageHeaders = headers()
    const uniqueId = toHeaderValue(id)
    messageHeaders.set(PubHeaders.MsgIdHdr, digest === undefined ? `${key}:${uniqueId}` : uniqueId)
    messageHeaders.set(PubHeaders.ExpectedStreamHdr, this.#stream)
    messageHeaders.set(tsHeader, String(ts))
    if (digest !== undefined) messageHeaders.set(digestHeader, String(digest))
    const ack = await this.#publisher.publish(subject, data, messageHeaders)
    const seq = this.#numbers.toLog(ack.seq)
    if (ack.duplicate !== true) return { seq, ts, isDuplicate: false }
    return { seq, ...(await this.#firstOf(ack.seq, uniqueId)), isDuplicate: true }
  }

  /** Publishes a message that NATS adds only after one that does not exist; it looks for duplicates first. */
  async has(key: string, id: string): Promise<boolean> {
    const probe = headers()
    probe.set(PubHeaders.MsgIdHdr, `${key}:${toHeaderValue(id)}`)
    probe.set(PubHeaders.ExpectedStreamHdr, this.#stream)
    probe.set(PubHeaders.ExpectedLastMsgIdHdr, randomUUID())
    const { duplicate } = await this.#publisher.publish(this.#subject(key), Buffer.alloc(0), probe)
    return duplicate === true
  }

  async read(key: string, after: number, limit: number): Promise<LogEntry[]> {
    const subject = this.#subject(key)
    if (limit <= 0) return []
    const from = this.#numbers.toStream(after)
    const messages = await this.#client.run(() => this.#messages.after(subject, from, limit))
    return messages.map((message) => this.#toEntry(message))
  }

  async last(key: string, count: number): Promise<LogEntry[]> {
    const subject = this.#subject(key)
    if (count <= 0) return []
    const messages = await this.#client.run(() => this.#messages.last(subject, count))
    return messages.map((message) => this.#toEntry(message))
  }

  async stat(key: string): Promise<LogStat> {
    const subject = this.#subject(key)
    const { newest, last, count } = await this.#client.run(() => this.#messages.stat(subject))
    const seq = count === 0 ? last : newest
    return { last: seq === 0 ? 0 : this.#numbers.toLog(seq), count }
  }

  async size(): Promise<number> {
    const { state } = await this.#client.run(() => this.#client.jsm.streams.info(this.#stream))
    return state.bytes
  }

  gap(key: string): Promise<NumberGap> {
    checkKey(key)
    return Promise.resolve({ after: 0, until: this.#numbers.toLog(0) })
  }

  async trim(key: string, seq: number): Promise<void> {
    await this.#messages.removeUpTo(this.#subject(key), this.#numbers.toStream(seq))
  }

  async drop(key: string): Promise<void> {
    const filter = this.#subject(key)
    await this.#client.run(() => this.#client.jsm.streams.purge(this.#stream, { filter }))
  }

  async subscribe(listener: (entry: LogEntry) => void): Promise<Subscription> {
    this.#follower ??= this.#follow()
    const follower = this.#follower
    try {
      await follower
    } catch (error) {
      if (this.#follower === follower) this.#follower = undefined
      throw error
    }
    return this.#listeners.add(listener)
  }

  /** Ends all subscriptions. */
  close(): void {
    this.#follower?.then(
      (follower) => follower.close(),
      () => {},
    )
  }

  async #ensureStream(): Promise<{ isNew: boolean }> {
    const { maxEntries, maxAgeMs = 0, whenFull } = this.#retention
    const isRefusing = whenFull === "refuse-new"
    const ensured = await ensureStream(this.#client, {
      name: this.#stream,
      subjects: [`${this.#prefix}>`],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      max_msgs_per_subject: maxEntries,
      max_age: nanos(maxAgeMs),
      discard: isRefusing ? DiscardPolicy.New : DiscardPolicy.Old,
      discard_new_per_subject: isRefusing,
      duplicate_window: nanos(maxAgeMs === 0 ? duplicateWindowMs : Math.min(duplicateWindowMs, maxAgeMs)),
      allow_direct: true,
    })
    this.#numbers.start((await this.#client.quickJsm.streams.info(this.#stream)).created)
    return ensured
  }

  #subject(key: string): string {
    checkKey(key)
    return this.#prefix + key
  }

  #toEntry(message: StreamMessage): LogEntry {
    const ts = Number(message.headers?.get(tsHeader))
    return {
      key: message.subject.slice(this.#prefix.length),
      seq: this.#numbers.toLog(message.seq),
      ts: ts > 0 ? ts : message.ts,
      value: message.text(),
    }
  }

  /** Returns what an entry says besides its value; a `ts` of 0 if it has been removed. */
  async #firstOf(seq: number, uniqueId: string): Promise<Pick<Appended, "ts" | "digest">> {
    const message = await this.#client.run(() => this.#client.jsm.streams.getMessage(this.#stream, { seq }))
    const digest = message?.header.get(digestHeader) ?? (await this.#removedIds.find(uniqueId))
    return {
      ts: Number(message?.header.get(tsHeader) ?? 0),
      ...(digest !== "" && { digest: Number(digest) }),
    }
  }

  async #follow(): Promise<StreamFollower> {
    const follower = new StreamFollower(this.#client, {
      stream: this.#stream,
      filter: `${this.#prefix}>`,
      onStart: async () => {
        const { created, state } = await this.#client.jsm.streams.info(this.#stream)
        this.#numbers.start(created)
        const followed = this.#followed
        const isLost =
          followed !== undefined && (followed.created !== created || state.last_seq < followed.last)
        if (isLost) this.#client.log(`nats: ${this.#stream} lost its messages; all it has now are new`)
        if (isLost) this.#followed = { created, last: 0 }
        this.#followed ??= { created, last: state.last_seq }
        return this.#followed.last + 1
      },
      onMessage: (message) => {
        if (this.#followed === undefined || message.seq <= this.#followed.last) return
        this.#followed.last = message.seq
        this.#emit(this.#toEntry(message))
      },
    })
    await follower.open()
    return follower
  }

  #emit(entry: LogEntry): void {
    try {
      this.#listeners.emit(entry)
    } catch (error) {
      // An error thrown here would end the reader of the connection.
      this.#client.log(`nats: a subscriber of ${this.#stream} failed: ${errorText(error)}`)
    }
  }
}

/** Makes an id safe for a header: an id of other characters, or a long one, is hashed. */
function toHeaderValue(id: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(id)) return id
  return createHash("sha256").update(id).digest("base64url")
}

/** JetStream's acknowledgement of a message. */
interface PublishAck {
  readonly seq: number
  /** The message had already been stored, with this number. */
  readonly duplicate?: boolean
}

interface PendingPublish {
  resolve(ack: PublishAck): void
  reject(error: Error): void
}

/**
 * Publishes messages to JetStream, many at a time. The `publish` of the library is slow, because it creates timers,
 * promises and an error object for each message.
 */
class Publisher {
  readonly #client: NatsClient
  readonly #inbox = `${createInbox()}.`
  readonly #pending = new Map<string, PendingPublish>()
  #count = 0

  constructor(client: NatsClient) {
    this.#client = client
    client.nc.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#onReply(message)
      },
    })
  }

  /** @throws {ChatError} MAILBOX_FULL, UNAVAILABLE */
  async publish(subject: string, data: Uint8Array, messageHeaders: MsgHdrs): Promise<PublishAck> {
    const token = String(++this.#count)
    try {
      return await this.#client.run(
        () =>
          new Promise<PublishAck>((resolve, reject) => {
            this.#pending.set(token, { resolve, reject })
            this.#client.nc.publish(subject, data, { headers: messageHeaders, reply: this.#inbox + token })
          }),
      )
    } finally {
      this.#pending.delete(token)
    }
  }

  #onReply(message: Msg): void {
    const pending = this.#pending.get(message.subject.slice(this.#inbox.length))
    if (pending === undefined) return
    const reply = parseReply(message)
    if (reply === undefined) pending.reject(unavailable("JetStream does not answer"))
    else if (!("error" in reply)) pending.resolve(reply)
    // A message that could not be added answers the question: it is no duplicate.
    else if (reply.error.err_code === natsCodes.wrongLastId) pending.resolve({ seq: 0 })
    else pending.reject(toError(new JetStreamApiError(reply.error)))
  }
}

/** @returns undefined when NATS reports that JetStream does not answer */
function parseReply(
  message: Msg,
): PublishAck | { error: ConstructorParameters<typeof JetStreamApiError>[0] } | undefined {
  if (message.data.length === 0) return undefined
  try {
    return message.json()
  } catch {
    return undefined
  }
}

function toError(refusal: JetStreamApiError): Error {
  const isFull = hasCode(refusal, natsCodes.storeFailed) && refusal.message.includes("per subject")
  return isFull ? logFull() : refusal
}
