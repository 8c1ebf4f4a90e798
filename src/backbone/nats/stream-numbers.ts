import { firstNumber, numbersPerMs } from "../numbering.js"

/** An empty stream that is older than this is considered to have lost its messages. */
const lostMs = 60_000

/**
 * Maps the numbers of a stream to those of its log, and to the revisions of its table. A new stream counts from 1, also
 * one that replaces a stream that was lost. Therefore they start at the creation time of the stream, which is the same
 * for all relays. A stream that lost its messages may keep its creation time: then it is purged up to a number that
 * matches the current time.
 */
export class StreamNumbers {
  #base = 0
  #createdMs = 0

  /** @param created - when the stream was created, as reported by NATS (RFC 3339) */
  start(created: string): void {
    this.#createdMs = Date.parse(created)
    this.#base = firstNumber(this.#createdMs)
  }

  /**
   * Returns the number at which an empty stream has to continue, or undefined if it is simply new.
   * @param ts - now, milliseconds since the Unix epoch
   * @param hadEntries - whether the stream is known to have had an entry
   */
  afterLoss(ts: number, hadEntries: boolean): number | undefined {
    const ageMs = ts - this.#createdMs
    return hadEntries || ageMs > lostMs ? ageMs * numbersPerMs : undefined
  }

  toLog(streamSeq: number): number {
    return this.#base + streamSeq
  }

  /** Returns the number in the stream; 0 for a number before its time. */
  toStream(seq: number): number {
    return Math.max(0, seq - this.#base)
  }
}
