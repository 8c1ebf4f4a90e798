import type { NatsLink } from "./connection.js"
import { fetch, removeMessage, select } from "./stream.js"

/** Entries looked for one by one before many are looked for at once, which takes some requests more. */
const singly = 3
/** Entries looked for at once. */
const batch = 512
/** Entries removed one by one, yet not one after the other; of all logs of a family together. */
const removalsAtOnce = 64

/**
 * Removes the oldest messages of a subject of a stream. Not with a `purge` up to a number: that of NATS 2.9 takes
 * what is written meanwhile, too.
 */
export class NatsRemoval {
  readonly #link: NatsLink
  readonly #stream: string
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(link: NatsLink, stream: string) {
    this.#link = link
    this.#stream = stream
  }

  /**
   * Removes every message of `subject` up to the number `seq`; what is written meanwhile waits for little of it.
   * @throws {ChatError} UNAVAILABLE; some are removed then
   */
  async upTo(subject: string, seq: number): Promise<void> {
    for (let from = 1, looks = 1; from <= seq; looks++) {
      const found = looks <= singly ? await this.#next(subject, from) : await this.#many(subject, from)
      const last = found.at(-1)
      if (last === undefined) return
      await Promise.all(found.filter((one) => one <= seq).map((one) => this.#remove(one)))
      from = last + 1
    }
  }

  /** The number of the first message of a subject from a number on, as the leader of the stream knows it. */
  async #next(subject: string, from: number): Promise<number[]> {
    // Taken by NATS 2.9 and not known to the types of the library.
    const request = { seq: from, next_by_subj: subject }
    const next = await this.#link.run(() => this.#link.jsm.streams.getMessage(this.#stream, request))
    return next === null ? [] : [next.seq]
  }

  /** The same of many messages. */
  #many(subject: string, from: number): Promise<number[]> {
    const selection = { stream: this.#stream, filter: subject, from, headersOnly: true }
    return this.#link.run(async () => {
      const messages = await fetch(this.#link, await select(this.#link, selection), batch)
      return messages.map(({ seq }) => seq)
    })
  }

  async #remove(seq: number): Promise<void> {
    if (this.#running >= removalsAtOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      await this.#link.run(() => removeMessage(this.#link, this.#stream, seq))
    } finally {
      // The next takes this one's place.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
