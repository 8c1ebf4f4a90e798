import type { Appended, Backbone, LogEntry, Logs } from "../../backbone/backbone.js"
import type { NumberGap } from "../../backbone/numbering.js"
import type { Limits } from "../../protocol/limits.js"
import type { Channel as ChannelName } from "../../protocol/names.js"

/** Name of the family of logs that hold messages of channels. */
export const channelFamily = "durable"

/** Entries read at once. */
const pageEntries = 200

/**
 * The logs of the backbone that hold messages of channels. The log of a channel is also how a message reaches
 * members on another relay: every relay that shares the backbone subscribes, and publishes each new entry to its
 * own members (see `ChannelDirectory`). The relay that appended the message does the same.
 */
export class ChannelLogs {
  /** Absent if the backbone keeps everything in memory. */
  readonly #logs: Logs | undefined

  private constructor(logs: Logs | undefined) {
    this.#logs = logs
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, limits: Limits): Promise<ChannelLogs> {
    if (backbone.kind === "memory") return new ChannelLogs(undefined)
    const { durableMessages: maxEntries, durableMs: maxAgeMs } = limits
    const retention = { maxEntries, maxAgeMs, whenFull: "drop-oldest", isIndexed: true } as const
    return new ChannelLogs(await backbone.logs(channelFamily, retention))
  }

  /** True if channels outlast this relay. */
  get isStored(): boolean {
    return this.#logs !== undefined
  }

  /** Returns the history of a channel; undefined if its messages are kept in this relay's memory instead. */
  historyOf(name: ChannelName): ChannelHistory | undefined {
    return this.#logs === undefined ? undefined : new ChannelHistory(this.#logs, name)
  }

  /** Calls `listener` with every message that any relay appends from now on. */
  async subscribe(listener: (name: ChannelName, entry: LogEntry) => void): Promise<void> {
    await this.#logs?.subscribe((entry) => listener(`#${entry.key}` as ChannelName, entry))
  }
}

/** The messages of one channel in a log of the backbone. {@link ReplayBuffer} is the same in memory. */
export class ChannelHistory {
  readonly #logs: Logs
  readonly #key: string

  constructor(logs: Logs, channel: ChannelName) {
    this.#logs = logs
    this.#key = channel.slice(1)
  }

  /** Stores a message. The members get it when the log reports it to its subscribers. */
  append(messageId: string, text: string, digest: number): Promise<Appended> {
    return this.#logs.append(this.#key, messageId, text, digest)
  }

  /** Returns the number of the newest message ever stored. */
  async lastSeq(): Promise<number> {
    return (await this.#logs.stat(this.#key)).last
  }

  /** Returns the numbers that show that a client knows another life of the store. */
  gap(): Promise<NumberGap | undefined> {
    return this.#logs.gap(this.#key)
  }

  /** Returns the next messages after `seq`, oldest first. */
  after(seq: number): Promise<LogEntry[]> {
    return this.#logs.read(this.#key, seq, pageEntries)
  }

  /** Returns the newest `count` messages, oldest first. */
  last(count: number): Promise<LogEntry[]> {
    return count === 0 ? Promise.resolve([]) : this.#logs.last(this.#key, count)
  }

  drop(): Promise<void> {
    return this.#logs.drop(this.#key)
  }
}
