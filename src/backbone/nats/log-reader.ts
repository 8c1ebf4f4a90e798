import { type NatsLink, unavailable } from "./connection.js"
import type { Delivery } from "./delivery.js"
import { fetch, forget, type Pull, select } from "./stream.js"

/** A request may bring this many messages more than were asked for, to save another look for the right place. */
const spareMessages = 64
const maxLooks = 12
/** Pause before a node that was behind is asked again. */
const lagMs = 100
const maxLags = 40

/** What stands in a stream of one subject, by the numbers of the stream. */
export interface Standing {
  /** Number of the oldest message; `newest + 1` when there is none. */
  readonly oldest: number
  /** Number of the newest message, or of the stream's newest of all when there is none. */
  readonly newest: number
  readonly count: number
}

/**
 * Reads what stands in a stream, one subject at a time, at least as far as the leader of the stream knows it. Errors of
 * NATS come as they are.
 */
export class NatsLogReader {
  readonly #link: NatsLink
  readonly #stream: string

  constructor(link: NatsLink, stream: string) {
    this.#link = link
    this.#stream = stream
  }

  /** Messages over `place`, oldest first, at most `limit`. */
  async after(subject: string, place: number, limit: number): Promise<Delivery[]> {
    const newest = await this.#newest(subject)
    if (newest <= place) return []
    return this.#complete(subject, limit, newest, async () =>
      fetch(this.#link, await this.#select(subject, place + 1), limit),
    )
  }

  /** The newest `count` messages, oldest first. */
  async last(subject: string, count: number): Promise<Delivery[]> {
    const newest = await this.#newest(subject)
    if (newest === 0) return []
    return this.#complete(subject, Infinity, newest, async () => {
      const pull = await this.#selectLast(subject, count)
      return (await fetch(this.#link, pull, pull.pending)).slice(-count)
    })
  }

  async standing(subject: string): Promise<Standing> {
    const { last, newest, count } = await this.#look(subject)
    if (newest === 0) return { oldest: last + 1, newest: last, count: 0 }
    const [oldest] = await fetch(this.#link, await this.#select(subject, 1), 1)
    return { oldest: oldest?.seq ?? newest + 1, newest, count }
  }

  /** Every subject of this form that has messages. */
  async subjects(form: string): Promise<string[]> {
    const { state } = await this.#info(form)
    return Object.keys(state.subjects ?? {})
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

  /** The number of the newest message of a subject, as the leader of the stream knows it; 0 without any. */
  async #newest(subject: string): Promise<number> {
    const newest = await this.#link.jsm.streams.getMessage(this.#stream, { last_by_subj: subject })
    return newest?.seq ?? 0
  }

  /**
   * Reads until it has `limit` messages or comes as far as `newest`. Any node of a cluster may answer a read, and one
   * that is behind does not know it; another try is another node's, or finds it further.
   */
  async #complete(
    subject: string,
    limit: number,
    newest: number,
    read: () => Promise<Delivery[]>,
  ): Promise<Delivery[]> {
    for (let tries = 0, goal = newest; tries < maxLags; tries++) {
      const messages = await read()
      if (messages.length >= limit || (messages.at(-1)?.seq ?? 0) >= goal) return messages
      await this.#link.pause(lagMs)
      // What was removed meanwhile is not waited for.
      goal = Math.min(goal, await this.#newest(subject))
    }
    throw unavailable("a node of NATS stays behind")
  }

  /**
   * A selection of at least the newest `count` messages and little more. NATS counts messages from a number on,
   * but finds no number for a count: it is guessed, as if the messages stood evenly in the stream.
   */
  async #selectLast(subject: string, count: number): Promise<Pull> {
    const { first, newest, count: all } = await this.#look(subject)
    let low = { from: first, pending: all }
    let high = { from: newest + 1, pending: 0 }
    let pull = await this.#select(subject, first)
    for (let looks = 0; looks < maxLooks && pull.pending > count + spareMessages; looks++) {
      const from = guess(low, high, count)
      if (from <= low.from || from >= high.from) break
      const nearer = await this.#select(subject, from)
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

  #select(subject: string, from: number): Promise<Pull> {
    return select(this.#link, { stream: this.#stream, filter: subject, from })
  }
}

interface Place {
  readonly from: number
  readonly pending: number
}

/** Where about `count` messages should stand to the end, between two places whose counts are known. */
function guess(low: Place, high: Place, count: number): number {
  const wanted = count + spareMessages / 2
  const share = Math.min(1, Math.max(0, (wanted - high.pending) / (low.pending - high.pending)))
  const even = high.from - Math.ceil((high.from - low.from) * share)
  // The middle, where an even spread would not get nearer.
  const isNearer = even > low.from && even < high.from
  return isNearer ? even : Math.floor((low.from + high.from) / 2)
}
