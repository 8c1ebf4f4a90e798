import type { Appended, LogEntry, Logs } from "../../backbone/backbone.js"
import type { Channel as ChannelName } from "../../protocol/names.js"

/** Entries read at once. */
const pageEntries = 200

/** What was said in one channel, where it is kept by an engine and told to every relay that shares it. */
export class ChannelHistory {
  readonly #logs: Logs
  readonly #key: string

  constructor(logs: Logs, channel: ChannelName) {
    this.#logs = logs
    this.#key = historyKey(channel)
  }

  /** Keeps a message; it is told to the members when the log tells it. */
  append(messageId: string, text: string): Promise<Appended> {
    return this.#logs.append(this.#key, messageId, text)
  }

  /** Number of the newest message ever kept. */
  async lastSeq(): Promise<number> {
    return (await this.#logs.stat(this.#key)).last
  }

  /** The next messages after `seq`, oldest first; none when there are none. */
  after(seq: number): Promise<LogEntry[]> {
    return this.#logs.read(this.#key, seq, pageEntries)
  }

  /** The newest `count` messages, oldest first. */
  last(count: number): Promise<LogEntry[]> {
    return count === 0 ? Promise.resolve([]) : this.#logs.last(this.#key, count)
  }

  drop(): Promise<void> {
    return this.#logs.drop(this.#key)
  }
}

/** A channel's key in the logs of channels. */
export function historyKey(channel: ChannelName): string {
  return channel.slice(1)
}
