import { DiscardPolicy, RetentionPolicy, StorageType } from "@nats-io/jetstream"
import { headers, nanos } from "@nats-io/transport-node"
import { repeat, type Timer } from "../../base/clock.js"
import { checkKey, type Row, type RowChange, type Subscription, type Table } from "../backbone.js"
import { fetch, type StreamMessage, select } from "./consumer.js"
import { StreamFollower } from "./follower.js"
import { errorText, type NatsClient } from "./nats-client.js"
import { ensureStream, hasCode, natsCodes, removeMessage, StreamNumbers } from "./stream.js"

const operationHeader = "KV-Operation"
/** A deleted row leaves a tombstone so that watchers notice the deletion; it is removed after this time. */
const tombstoneMs = 30_000
const sweepMs = 10_000
/** Most tombstones removed at once. */
const sweepBatch = 100
const duplicateWindowMs = 120_000
/** Number of attempts to create a row that others create and delete meanwhile. */
const createTries = 3

/** The tombstone of a deleted row. */
interface Tombstone {
  readonly key: string
  readonly revision: number
  /** When it is to be removed, on the monotonic clock. */
  readonly dueMs: number
}

/**
 * A table as a bucket of the key-value store of NATS (ADR-8): a stream that keeps the last message of each subject.
 * Reads go to the leader of the stream, because other nodes may lag behind.
 */
export class NatsTable implements Table {
  readonly #client: NatsClient
  readonly #bucket: string
  readonly #numbers = new StreamNumbers()
  readonly #followers = new Set<StreamFollower>()
  readonly #tombstones: Tombstone[] = []
  #timer: Timer | undefined

  private constructor(client: NatsClient, bucket: string) {
    this.#client = client
    this.#bucket = bucket
  }

  /** Opens a table. Creates its bucket if there is none, now or after NATS lost it. */
  static async open(client: NatsClient, name: string): Promise<NatsTable> {
    checkKey(name)
    const bucket = `${client.space}_${name.replaceAll(".", "_")}`
    const table = new NatsTable(client, bucket)
    const existing = await client.retry(bucket, async () => {
      await table.#ensureBucket()
      return table.#select()
    })
    // Tombstones that other relays have left.
    for (const { key, value, revision } of existing) {
      if (value === undefined) table.#addTombstone(key, revision)
    }
    client.onRestore(async () => {
      const { isNew } = await table.#ensureBucket()
      if (isNew) client.log(`nats: bucket ${bucket} was lost and is created again`)
    })
    table.#timer = repeat(client.clock, sweepMs, () => table.#sweep())
    return table
  }

  async get(key: string): Promise<Row | undefined> {
    checkKey(key)
    return this.#client.run(async () => toRow(await this.#find(key)))
  }

  async put(key: string, value: string, expected?: number): Promise<number | undefined> {
    checkKey(key)
    const data = Buffer.from(value)
    this.#client.checkSize(data)
    return this.#client.run(() => {
      if (expected === undefined) return this.#write(key, data)
      if (expected === 0) return this.#create(key, data)
      return this.#replace(key, data, expected)
    })
  }

  /** Creates a row unless it exists, also while the store counts as unreachable. @returns its value */
  async ensure(key: string, value: string): Promise<string | undefined> {
    const found = await this.#find(key)
    if (found?.value !== undefined) return found.value
    await this.#create(key, Buffer.from(value))
    return (await this.#find(key))?.value
  }

  async delete(key: string, expected?: number): Promise<boolean> {
    checkKey(key)
    return this.#client.run(async () => {
      const row = toRow(await this.#find(key))
      if (row === undefined) return expected === undefined || expected === 0
      if (expected !== undefined && row.revision !== expected) return false
      const messageHeaders = headers()
      messageHeaders.set(operationHeader, "DEL")
      const revision =
        expected === undefined
          ? await this.#write(key, Buffer.alloc(0), messageHeaders)
          : await this.#replace(key, Buffer.alloc(0), expected, messageHeaders)
      if (revision === undefined) return false
      this.#addTombstone(key, revision)
      return true
    })
  }

  rows(): Promise<Row[]> {
    return this.#client.run(async () => (await this.#select()).flatMap((change) => toRow(change) ?? []))
  }

  async watch(listener: (change: RowChange) => void): Promise<Subscription> {
    const watch = new TableWatch((change) => {
      try {
        listener(change)
      } catch (error) {
        // An error thrown here would end the reader of the connection.
        this.#client.log(`nats: a watcher of ${this.#bucket} failed: ${errorText(error)}`)
      }
    })
    const follower = this.#follow(watch)
    const end = (): void => {
      watch.end()
      follower.close()
      this.#followers.delete(follower)
    }
    this.#followers.add(follower)
    try {
      await follower.open()
      await this.#client.run(() => watch.isReady)
    } catch (error) {
      end()
      throw error
    }
    return end
  }

  /** Writes a dummy value, to find out whether NATS accepts writes. */
  async probe(): Promise<void> {
    await this.#write("probe", Buffer.alloc(0))
  }

  /** Ends all watches. */
  close(): void {
    this.#timer?.cancel()
    for (const follower of this.#followers) follower.close()
  }

  /** Returns the row of a key, or its tombstone. */
  async #find(key: string): Promise<RowChange | undefined> {
    const query = { last_by_subj: this.#subject(key) }
    const message = await this.#client.jsm.streams.getMessage(this.#stream, query)
    if (message === null) return undefined
    return this.#toChange({
      subject: message.subject,
      seq: message.seq,
      headers: message.header,
      text: () => message.string(),
    })
  }

  async #create(key: string, data: Buffer): Promise<number | undefined> {
    for (let tries = 0; tries < createTries; tries++) {
      const found = await this.#find(key)
      if (found?.value !== undefined) return undefined
      const created = await this.#replace(key, data, found?.revision ?? 0)
      if (created !== undefined) return created
    }
    return undefined
  }

  async #write(key: string, data: Buffer, messageHeaders = headers()): Promise<number> {
    const { seq } = await this.#client.js.publish(this.#subject(key), data, { headers: messageHeaders })
    return this.#numbers.toLog(seq)
  }

  /**
   * Writes over a row of that revision; 0: there is none. The nodes of a cluster compare revisions before they agree on
   * the order of what is written, so several writers may pass at once (NATS 2.9). Message ids are compared
   * afterwards, so of several writes with the same id only the first succeeds.
   * @returns undefined when the row was at another revision, or another writer was first
   */
  async #replace(
    key: string,
    data: Buffer,
    expected: number,
    messageHeaders = headers(),
  ): Promise<number | undefined> {
    const lastSubjectSequence = this.#numbers.toStream(expected)
    // A revision from before the bucket was lost.
    if (lastSubjectSequence === 0 && expected > 0) return undefined
    try {
      const { seq, duplicate } = await this.#client.js.publish(this.#subject(key), data, {
        headers: messageHeaders,
        expect: { lastSubjectSequence },
        ...(expected > 0 && { msgID: `${key}@${expected}` }),
      })
      return duplicate ? undefined : this.#numbers.toLog(seq)
    } catch (error) {
      if (hasCode(error, natsCodes.wrongRevision, natsCodes.duplicateInProgress)) return undefined
      throw error
    }
  }

  #follow(watch: TableWatch): StreamFollower {
    return new StreamFollower(this.#client, {
      stream: this.#stream,
      filter: this.#subject(">"),
      onStart: async () => {
        await this.#startNumbers()
        watch.start()
        return undefined
      },
      onMessage: (message) => watch.take(this.#toChange(message)),
      onCaughtUp: () => watch.caughtUp(),
    })
  }

  async #select(): Promise<RowChange[]> {
    const pull = await select(this.#client, { stream: this.#stream, filter: this.#subject(">") })
    return (await fetch(this.#client, pull, pull.pending)).map((message) => this.#toChange(message))
  }

  async #ensureBucket(): Promise<{ isNew: boolean }> {
    const ensured = await ensureStream(this.#client, {
      name: this.#stream,
      subjects: [this.#subject(">")],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.New,
      duplicate_window: nanos(duplicateWindowMs),
      allow_rollup_hdrs: true,
      allow_direct: true,
    })
    await this.#startNumbers()
    return ensured
  }

  async #startNumbers(): Promise<void> {
    this.#numbers.start((await this.#client.quickJsm.streams.info(this.#stream)).created)
  }

  get #stream(): string {
    return `KV_${this.#bucket}`
  }

  #subject(key: string): string {
    return `$KV.${this.#bucket}.${key}`
  }

  #toChange(message: Pick<StreamMessage, "subject" | "seq" | "headers" | "text">): RowChange {
    const key = message.subject.slice(this.#subject("").length)
    const isDeleted = message.headers?.has(operationHeader) ?? false
    return { key, value: isDeleted ? undefined : message.text(), revision: this.#numbers.toLog(message.seq) }
  }

  #addTombstone(key: string, revision: number): void {
    this.#tombstones.push({ key, revision, dueMs: this.#client.clock.monotonic() + tombstoneMs })
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#client.clock.monotonic()
    const due = this.#tombstones.filter(({ dueMs }) => dueMs <= nowMs).slice(0, sweepBatch)
    try {
      for (const { revision } of due) {
        // Removes the tombstone alone: a row that was written since stays.
        const seq = this.#numbers.toStream(revision)
        if (seq > 0) await this.#client.run(() => removeMessage(this.#client, this.#stream, seq))
        this.#tombstones.shift()
      }
    } catch {
      // NATS cannot be reached; the next sweep tries again.
    }
  }
}

/** Returns the row of a key; undefined for a tombstone. */
function toRow(found: RowChange | undefined): Row | undefined {
  if (found?.value === undefined) return undefined
  return { key: found.key, value: found.value, revision: found.revision }
}

/**
 * The state of one watch. After a restart of the follower, it reports only the changes made in between, including rows
 * that were deleted without a trace.
 */
export class TableWatch {
  /** Resolves once every existing row has been reported. */
  readonly isReady: Promise<void>
  readonly #listener: (change: RowChange) => void
  /** The last reported revision of each row that exists. */
  readonly #revisions = new Map<string, number>()
  /** Keys seen since the last start, until the follower has caught up. */
  #seen: Set<string> | undefined
  #resolveReady: () => void = () => {}
  #hasEnded = false

  constructor(listener: (change: RowChange) => void) {
    this.#listener = listener
    this.isReady = new Promise((resolve) => {
      this.#resolveReady = resolve
    })
  }

  /** Called before the follower reports every existing row again. */
  start(): void {
    this.#seen = new Set()
  }

  take(change: RowChange): void {
    const { key, value, revision } = change
    if (value !== undefined) this.#seen?.add(key)
    else this.#seen?.delete(key)
    const known = this.#revisions.get(key)
    if (value === undefined ? known === undefined : revision <= (known ?? 0)) return
    if (value === undefined) this.#revisions.delete(key)
    else this.#revisions.set(key, revision)
    this.#report(change)
  }

  /** Reports rows as deleted that were not seen since the start. */
  caughtUp(): void {
    const seen = this.#seen
    this.#seen = undefined
    if (seen !== undefined) {
      for (const [key, revision] of [...this.#revisions]) {
        if (seen.has(key)) continue
        this.#revisions.delete(key)
        this.#report({ key, value: undefined, revision: revision + 1 })
      }
    }
    this.#resolveReady()
  }

  /** Ends the watch; no change is reported afterwards. */
  end(): void {
    this.#hasEnded = true
  }

  #report(change: RowChange): void {
    if (!this.#hasEnded) this.#listener(change)
  }
}
