import { DiscardPolicy, RetentionPolicy, StorageType } from "@nats-io/jetstream"
import { type KV, type KvEntry, Kvm } from "@nats-io/kv"
import { headers, nanos } from "@nats-io/transport-node"
import type { Timer } from "../../base/clock.js"
import type { Row, RowChange, Subscription, Table } from "../backbone.js"
import { checkKey } from "../backbone.js"
import { type NatsLink, toText } from "./connection.js"
import type { Delivery } from "./delivery.js"
import { NatsFollow } from "./follow.js"
import { checkSize } from "./logs.js"
import { ensureStream, fetch, isAnswer, natsCodes, removeMessage, select } from "./stream.js"
import { TableWatch } from "./table-watch.js"

const operationHeader = "KV-Operation"
/** A deleted row leaves a mark so that watchers hear of it; this long after it is wiped off. */
const markMs = 30_000
const sweepMs = 10_000
/** Marks wiped off in one go. */
const sweepBatch = 100
const duplicateWindowMs = 120_000
/** How often a creation looks again when the row comes and goes meanwhile. */
const createTries = 3

/** Where a deleted row left its mark, and when it may be wiped off, on the monotonic clock. */
interface Mark {
  readonly key: string
  readonly revision: number
  readonly dueMs: number
}

/** A table as a bucket of NATS' own key-value store. */
export class NatsTable implements Table {
  readonly #link: NatsLink
  readonly #kv: KV
  readonly #bucket: string
  readonly #follows = new Set<NatsFollow>()
  readonly #marks: Mark[] = []
  #timer: Timer | undefined
  #isClosed = false

  private constructor(link: NatsLink, bucket: string, kv: KV) {
    this.#link = link
    this.#bucket = bucket
    this.#kv = kv
  }

  /** Opens a table; the bucket is made when there is none, now or after NATS lost it. */
  static async open(link: NatsLink, name: string): Promise<NatsTable> {
    checkKey(name)
    const bucket = `${link.space}_${name.replaceAll(".", "_")}`
    const [table, earlier] = await link.insist(bucket, async () => {
      await ensureBucket(link, bucket)
      // Only the leader knows what was written last.
      const kv = await new Kvm(link.js).open(bucket, { allow_direct: false })
      const made = new NatsTable(link, bucket, kv)
      return [made, await made.#select()] as const
    })
    // What earlier relays left behind.
    for (const { key, value, revision } of earlier) {
      if (value === undefined) table.#remember(key, revision)
    }
    link.onRestore(async () => {
      const { isNew } = await ensureBucket(link, bucket)
      if (isNew) link.log(`nats: the bucket ${bucket} was gone; it begins empty`)
    })
    table.#sweepLater()
    return table
  }

  async get(key: string): Promise<Row | undefined> {
    checkKey(key)
    return this.#link.run(() => this.#get(key))
  }

  async put(key: string, value: string, expected?: number): Promise<number | undefined> {
    checkKey(key)
    const data = Buffer.from(value)
    checkSize(this.#link, data)
    return this.#link.run(() => {
      if (expected === undefined) return this.#kv.put(key, data)
      if (expected === 0) return this.#create(key, data)
      return this.#replace(key, data, expected)
    })
  }

  async delete(key: string, expected?: number): Promise<boolean> {
    checkKey(key)
    return this.#link.run(async () => {
      const row = await this.#get(key)
      if (row === undefined) return expected === undefined || expected === 0
      if (expected !== undefined && row.revision !== expected) return false
      const mark = headers()
      mark.set(operationHeader, "DEL")
      const revision =
        expected === undefined
          ? (await this.#link.js.publish(this.#subject(key), "", { headers: mark })).seq
          : await this.#replace(key, Buffer.alloc(0), expected, mark)
      if (revision === undefined) return false
      this.#remember(key, revision)
      return true
    })
  }

  rows(): Promise<Row[]> {
    return this.#link.run(async () => {
      const changes = await this.#select()
      return changes.flatMap(({ key, value, revision }) =>
        value === undefined ? [] : [{ key, value, revision }],
      )
    })
  }

  async watch(listener: (change: RowChange) => void): Promise<Subscription> {
    const watch = new TableWatch((change) => {
      try {
        listener(change)
      } catch (error) {
        // An error here would end the connection's reader.
        this.#link.log(`nats: a watcher of ${this.#bucket} failed: ${toText(error)}`)
      }
    })
    const follow = this.#follow(watch)
    const end = (): void => {
      watch.end()
      follow.close()
      this.#follows.delete(follow)
    }
    this.#follows.add(follow)
    try {
      await follow.open()
      await this.#link.run(() => watch.isReady)
    } catch (error) {
      end()
      throw error
    }
    return end
  }

  /** Writes something of no meaning, to know whether NATS takes it. */
  async probe(): Promise<void> {
    await this.#kv.put("probe", "")
  }

  /** Nothing is told afterwards. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    for (const follow of this.#follows) follow.close()
  }

  async #get(key: string): Promise<Row | undefined> {
    const entry = await this.#kv.get(key)
    if (entry === null || isMark(entry)) return undefined
    return { key, value: entry.string(), revision: entry.revision }
  }

  async #create(key: string, data: Buffer): Promise<number | undefined> {
    for (let tries = 0; tries < createTries; tries++) {
      const entry = await this.#kv.get(key)
      if (entry !== null && !isMark(entry)) return undefined
      const created =
        entry === null
          ? await asExpected(this.#kv.put(key, data, { previousSeq: 0 }))
          : await this.#replace(key, data, entry.revision)
      if (created !== undefined) return created
    }
    return undefined
  }

  /**
   * Writes over a row of that revision, which is not 0. The nodes of a cluster compare revisions before they agree on
   * the order of what is written, so several writers may pass at once (NATS 2.9). What they cannot do is write
   * under the same id: that is compared afterwards.
   * @returns undefined when the row was at another revision, or another writer was first
   */
  async #replace(
    key: string,
    data: Buffer,
    expected: number,
    about = headers(),
  ): Promise<number | undefined> {
    const ack = await asExpected(
      this.#link.js.publish(this.#subject(key), data, {
        headers: about,
        expect: { lastSubjectSequence: expected },
        msgID: `${key}@${expected}`,
      }),
    )
    return ack?.duplicate === true ? undefined : ack?.seq
  }

  #follow(watch: TableWatch): NatsFollow {
    return new NatsFollow(this.#link, {
      stream: `KV_${this.#bucket}`,
      filter: this.#subject(">"),
      begin: async () => {
        const { created } = await this.#link.jsm.streams.info(`KV_${this.#bucket}`)
        watch.begin(created)
        return undefined
      },
      tell: (message) => watch.take(this.#toChange(message)),
      caughtUp: () => watch.caughtUp(),
    })
  }

  async #select(): Promise<RowChange[]> {
    const pull = await select(this.#link, { stream: `KV_${this.#bucket}`, filter: this.#subject(">") })
    return (await fetch(this.#link, pull, pull.pending)).map((message) => this.#toChange(message))
  }

  #subject(key: string): string {
    return `$KV.${this.#bucket}.${key}`
  }

  #toChange(message: Delivery): RowChange {
    const key = message.subject.slice(this.#subject("").length)
    const isGone = message.headers?.has(operationHeader) ?? false
    return { key, value: isGone ? undefined : message.text(), revision: message.seq }
  }

  #remember(key: string, revision: number): void {
    this.#marks.push({ key, revision, dueMs: this.#link.clock.monotonic() + markMs })
  }

  #sweepLater(): void {
    if (this.#isClosed) return
    this.#timer = this.#link.clock.setTimer(() => void this.#sweep(), sweepMs, { unref: true })
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#link.clock.monotonic()
    const due = this.#marks.filter(({ dueMs }) => dueMs <= nowMs).slice(0, sweepBatch)
    try {
      for (const { revision } of due) {
        // The mark alone: a row that was written since stays.
        await this.#link.run(() => removeMessage(this.#link, `KV_${this.#bucket}`, revision))
        this.#marks.shift()
      }
    } catch {
      // NATS is away; they are wiped off when it is back.
    } finally {
      this.#sweepLater()
    }
  }
}

function ensureBucket(link: NatsLink, bucket: string): Promise<{ isNew: boolean }> {
  return ensureStream(link, {
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    duplicate_window: nanos(duplicateWindowMs),
    allow_rollup_hdrs: true,
    allow_direct: true,
  })
}

function isMark({ operation }: KvEntry): boolean {
  return operation !== "PUT"
}

/** What `write` gives, or undefined when the row was at another revision. */
async function asExpected<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write
  } catch (error) {
    if (isAnswer(error, natsCodes.wrongRevision, natsCodes.sameIdUnderWay)) return undefined
    throw error
  }
}
