import type { Outbox, OutboxLine } from "./outbox.js"

/**
 * Whose turn it is to be sent: lines that were taken and are not on their way, and behind them the outbox. They go out
 * in the order in which they were taken, also again. Only messages that wait for the daemon's own guard are passed by.
 */
export class LineTurns {
  readonly #outbox: Pick<Outbox, "take">
  readonly #mustWait: (line: OutboxLine) => boolean
  /** Refused only for now: these go first. */
  readonly #again: OutboxLine[] = []
  readonly #waiting: OutboxLine[] = []
  #held: OutboxLine | undefined
  /** On their way before a line that goes again: they may come back as well, and would then go before it. */
  readonly #doubtful = new Set<OutboxLine>()
  /** The number of each line among those that were taken: refusals come in another order. */
  readonly #places = new WeakMap<OutboxLine, number>()
  #taken = 0

  /** @param mustWait - whether the daemon's own guard keeps a message back for now */
  constructor(outbox: Pick<Outbox, "take">, mustWait: (line: OutboxLine) => boolean) {
    this.#outbox = outbox
    this.#mustWait = mustWait
  }

  /** Messages that wait for the daemon's own guard. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Whether nobody has a turn before a line on its way is answered: it may go again, and would then be the first. */
  get isUndecided(): boolean {
    return this.#doubtful.size > 0
  }

  /** Gives the turn to a line; it is sent now, or given back to one of the methods below. */
  next(): OutboxLine | undefined {
    const first = this.#again.shift() ?? this.#nextWaiting()
    if (first !== undefined) return first
    const held = this.#held
    this.#held = undefined
    return held ?? this.#take()
  }

  /** The line that had its turn goes next, but not yet. */
  hold(line: OutboxLine): void {
    this.#held = line
  }

  /** The line that had its turn waits for the daemon's own guard. */
  wait(line: OutboxLine): void {
    this.#waiting.push(line)
  }

  /** The line goes again, in its place. @param onTheirWay - lines that were sent and not answered */
  repeat(line: OutboxLine, onTheirWay: Iterable<OutboxLine>): void {
    const place = this.#placeOf(line)
    this.#again.push(line)
    this.#again.sort((a, b) => this.#placeOf(a) - this.#placeOf(b))
    for (const other of onTheirWay) if (this.#placeOf(other) < place) this.#doubtful.add(other)
  }

  /** A line on its way was answered. */
  answered(line: OutboxLine): void {
    this.#doubtful.delete(line)
  }

  /** Forgets them all: the outbox hands them out again. */
  clear(): void {
    this.#again.length = 0
    this.#waiting.length = 0
    this.#doubtful.clear()
    this.#held = undefined
  }

  #nextWaiting(): OutboxLine | undefined {
    const [line] = this.#waiting
    return line === undefined || this.#mustWait(line) ? undefined : this.#waiting.shift()
  }

  #take(): OutboxLine | undefined {
    const [line] = this.#outbox.take(1)
    if (line !== undefined) this.#places.set(line, this.#taken++)
    return line
  }

  #placeOf(line: OutboxLine): number {
    return this.#places.get(line) ?? 0
  }
}
