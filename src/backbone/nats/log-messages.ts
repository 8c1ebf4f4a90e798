import type { MsgHdrs } from "@nats-io/transport-node"
import { discard, fetch, type Pull, type StreamMessage, select } from "./consumer.js"
import { type NatsClient, unavailable } from "./nats-client.js"
import { removeMessage } from "./stream.js"

/** A fetch may read this many messages more than needed, to save another search step. */
const spareMessages = 64
const maxSearchSteps = 12
/** Pause before a node that lags behind is read again. */
const lagMs = 100
const maxLags = 40
/** Messages to remove that are looked up one by one, before they are listed in batches, which takes more requests. */
const singleRemovals = 3
const removalBatch = 512
/** Most removals in progress at once, over all subjects of the stream. */
const maxRemovals = 64

/** A message without its content. */
interface MessageHead {
  readonly seq: number
  readonly headers?: MsgHdrs | undefined
}

/** The messages of one subject. */
interface SubjectStat {
  /** Number of the oldest message of the whole stream. */
  readonly first: number
  /** Number of the newest message of the whole stream. */
  readonly last: number
  /** Number of the newest message of the subject; 0 when there is none. */
  readonly newest: number
  readonly count: number
}

/** Reads and removes the messages of a stream, one subject at a time, at least as far as the leader knows them. */
export class LogMessages {
  readonly #client: NatsClient
  readonly #stream: string
  readonly #beforeRemoval: (headers: MsgHdrs | undefined) => Promise<void>
  readonly #waitingRemovals: (() => void)[] = []
  #removals = 0

  /** @param beforeRemoval - called with the headers of each message that is removed next */
  constructor(
    client: NatsClient,
    stream: string,
    beforeRemoval: (headers: MsgHdrs | undefined) => Promise<void>,
  ) {
    this.#client = client
    this.#stream = stream
    this.#beforeRemoval = beforeRemoval
  }

  /** Returns at most `limit` messages with a number above `seq`, oldest first. */
  async after(subject: string, seq: number, limit: number): Promise<StreamMessage[]> {
    const newest = await this.#newest(subject)
    if (newest <= seq) return []
    return this.#readUpTo(subject, limit, newest, async () =>
      fetch(this.#client, await this.#select(subject, seq + 1), limit),
    )
  }

  /** Returns the newest `count` messages, oldest first. */
  async last(subject: string, count: number): Promise<StreamMessage[]> {
    const newest = await this.#newest(subject)
    if (newest === 0) return []
    return this.#readUpTo(subject, Infinity, newest, async () => {
      const pull = await this.#selectLast(subject, count)
      return (await fetch(this.#client, pull, pull.pending)).slice(-count)
    })
  }

  async stat(subject: string): Promise<SubjectStat> {
    const options = { subjects_filter: subject, deleted_details: false }
    const { state } = await this.#client.jsm.streams.info(this.#stream, options)
    const count = state.subjects?.[subject] ?? 0
    const newest = count === 0 ? 0 : await this.#newest(subject)
    return { first: state.first_seq, last: state.last_seq, newest, count }
  }

  /**
   * Removes every message of a subject up to number `seq`. Does not use a `purge` with a number, because that of NATS 2.9
   * also removes messages that are written meanwhile.
   * @throws {ChatError} UNAVAILABLE, after which some may have been removed
   */
  async removeUpTo(subject: string, seq: number): Promise<void> {
    for (let from = 1, steps = 1; from <= seq; steps++) {
      const isSingle = steps <= singleRemovals
      const found = isSingle ? await this.#next(subject, from) : await this.#heads(subject, from)
      const last = found.at(-1)
      if (last === undefined) return
      await Promise.all(found.filter((one) => one.seq <= seq).map((one) => this.#remove(one)))
      from = last.seq + 1
    }
  }

  /** Returns the number of the newest message of a subject according to the leader; 0 when there is none. */
  async #newest(subject: string): Promise<number> {
    const newest = await this.#client.jsm.streams.getMessage(this.#stream, { last_by_subj: subject })
    return newest?.seq ?? 0
  }

  /**
   * Repeats `read` until it returns `limit` messages or message number `newest`. Any node of a cluster may answer a read,
   * and it may lag behind.
   */
  async #readUpTo(
    subject: string,
    limit: number,
    newest: number,
    read: () => Promise<StreamMessage[]>,
  ): Promise<StreamMessage[]> {
    for (let tries = 0, goal = newest; tries < maxLags; tries++) {
      const messages = await read()
      if (messages.length >= limit || (messages.at(-1)?.seq ?? 0) >= goal) return messages
      await this.#client.pause(lagMs)
      // The newest message may have been removed meanwhile.
      goal = Math.min(goal, await this.#newest(subject))
    }
    throw unavailable("a node of NATS lags behind")
  }

  /**
   * Selects at least the newest `count` messages and few more. NATS counts the messages from a number on, but cannot find
   * the number for a count: this searches for it, starting from the assumption that the messages are spread evenly.
   */
  async #selectLast(subject: string, count: number): Promise<Pull> {
    const { first, newest, count: all } = await this.stat(subject)
    let low = { from: first, pending: all }
    let high = { from: newest + 1, pending: 0 }
    let pull = await this.#select(subject, first)
    for (let steps = 0; steps < maxSearchSteps && pull.pending > count + spareMessages; steps++) {
      const from = interpolate(low, high, count)
      if (from <= low.from || from >= high.from) break
      const closer = await this.#select(subject, from)
      if (closer.pending < count) {
        high = { from, pending: closer.pending }
        discard(this.#client, closer)
      } else {
        low = { from, pending: closer.pending }
        discard(this.#client, pull)
        pull = closer
      }
    }
    return pull
  }

  #select(subject: string, from: number): Promise<Pull> {
    return select(this.#client, { stream: this.#stream, filter: subject, from })
  }

  /** Returns the first message of a subject from a number on, according to the leader. */
  async #next(subject: string, from: number): Promise<MessageHead[]> {
    // NATS 2.9 accepts this request, but the types of the library do not know it.
    const request = { seq: from, next_by_subj: subject }
    const next = await this.#client.run(() => this.#client.jsm.streams.getMessage(this.#stream, request))
    return next === null ? [] : [{ seq: next.seq, headers: next.header }]
  }

  /** Returns the first messages of a subject from a number on. */
  #heads(subject: string, from: number): Promise<MessageHead[]> {
    const selection = { stream: this.#stream, filter: subject, from, headersOnly: true }
    return this.#client.run(async () =>
      fetch(this.#client, await select(this.#client, selection), removalBatch),
    )
  }

  async #remove({ seq, headers }: MessageHead): Promise<void> {
    if (this.#removals >= maxRemovals)
      await new Promise<void>((resolve) => this.#waitingRemovals.push(resolve))
    else this.#removals++
    try {
      await this.#beforeRemoval(headers)
      await this.#client.run(() => removeMessage(this.#client, this.#stream, seq))
    } finally {
      // Passes the slot to the next removal.
      const next = this.#waitingRemovals.shift()
      if (next === undefined) this.#removals--
      else next()
    }
  }
}

interface SearchPoint {
  readonly from: number
  /** Number of messages from `from` on. */
  readonly pending: number
}

/** Returns the number from which about `count` messages should follow, between two points whose counts are known. */
function interpolate(low: SearchPoint, high: SearchPoint, count: number): number {
  const wanted = count + spareMessages / 2
  const share = Math.min(1, Math.max(0, (wanted - high.pending) / (low.pending - high.pending)))
  const even = high.from - Math.ceil((high.from - low.from) * share)
  // Takes the middle if the estimate makes no progress.
  const isBetween = even > low.from && even < high.from
  return isBetween ? even : Math.floor((low.from + high.from) / 2)
}
