/** 2026-01-01T00:00Z in milliseconds since the Unix epoch. */
const beginningMs = 1_767_225_600_000
/** Numbers a stream has for each millisecond until the next one is made: a thousand entries, for all of its life. */
const perMs = 1_000
/** Of an unused stream that was made so long ago it is taken that NATS lost what was in it. */
const lostMs = 60_000

/**
 * What the numbers of a log are over those of its stream. A stream of files counts on for ever, but one in memory begins at
 * 1 with every restart of NATS, while whoever followed it goes on behind the last number it knows. So the numbers of
 * a stream in memory begin at the time it was made, which all relays hear of NATS alike, in microseconds: safe
 * integers until 2311. A cluster that was restarted as a whole has the stream empty and says that it was made when it was
 * made at first: there it is the stream that has to go on at the time.
 */
export class NatsSequence {
  readonly #isInMemory: boolean
  #base = 0
  #createdMs = 0

  constructor(on: "disk" | "memory") {
    this.#isInMemory = on === "memory"
  }

  /** @param created - when the stream was made, as NATS tells it (RFC 3339) */
  begin(created: string): void {
    if (!this.#isInMemory) return
    this.#createdMs = Date.parse(created)
    this.#base = Math.max(0, (this.#createdMs - beginningMs) * perMs)
  }

  /**
   * Where a stream that has never had an entry, as far as NATS knows, is to go on.
   * @param ts - now, milliseconds since the Unix epoch
   * @param hadEntries - whether NATS has told of one
   * @returns undefined where it is simply new
   */
  afterLoss(ts: number, hadEntries: boolean): number | undefined {
    const ageMs = ts - this.#createdMs
    return this.#isInMemory && (hadEntries || ageMs > lostMs) ? ageMs * perMs : undefined
  }

  /** The number in the log of what has this number in the stream. */
  toLog(place: number): number {
    return this.#base + place
  }

  /** The number in the stream, 0 for any before its time. */
  toStream(seq: number): number {
    return Math.max(0, seq - this.#base)
  }
}
