import type { Outbox, OutboxLine } from "./outbox.js"

/** Messages that wait for the daemon's own guard, beyond which nothing behind them is taken. */
const mostWaiting = 256

/**
 * Whose turn it is to be sent: lines that were taken and are not on their way, and behind them the outbox. They go out
 * in the order in which they were taken, also again. Only messages that wait for the daemon's own guard are passed by.
 */
export class SendOrder {
  readonly #outbox: Pick<Outbox, "take">
  readonly #mustWait: (line: OutboxLine) => boolean
  /** Held, or refused only for now. */
  readonly #due: OutboxLine[] = []
  readonly #waiting: OutboxLine[] = []
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

  /** Whether nobody has a turn before a line on its way is answered: it may go again, and would then be the first. */
  get isUndecided(): boolean {
    return this.#doubtful.size > 0
  }

  /** Gives the turn to a line; it is sent now, or given back to one of the methods below. */
  next(): OutboxLine | undefined {
    const [due] = this.#due
    const [waiting] = this.#waiting
    const isPassedBy =
      waiting === undefined ||
      (due !== undefined && this.#placeOf(due) < this.#placeOf(waiting)) ||
      this.#mustWait(waiting)
    return isPassedBy ? (this.#due.shift() ?? this.#take()) : this.#waiting.shift()
  }

  /** The line that had its turn goes next, but not yet. */
  hold(line: OutboxLine): void {
    this.#putBack(line, this.#due)
  }

  /** The line that had its turn waits for the daemon's own guard. */
  wait(line: OutboxLine): void {
    this.#putBack(line, this.#waiting)
  }

  /** The line goes again, in its place. @param onTheirWay - lines that were sent and not answered */
  repeat(line: OutboxLine, onTheirWay: Iterable<OutboxLine>): void {
    const place = this.#placeOf(line)
    this.#putBack(line, this.#due)
    for (const other of onTheirWay) if (this.#placeOf(other) < place) this.#doubtful.add(other)
  }

  /** A line on its way was answered. */
  answered(line: OutboxLine): void {
    this.#doubtful.delete(line)
  }

  /** Forgets them all: the outbox hands them out again. */
  clear(): void {
    this.#due.length = 0
    this.#waiting.length = 0
    this.#doubtful.clear()
  }

  #putBack(line: OutboxLine, lines: OutboxLine[]): void {
    lines.push(line)
    lines.sort((a, b) => this.#placeOf(a) - this.#placeOf(b))
  }

  #take(): OutboxLine | undefined {
    const [line] = this.#waiting.length < mostWaiting ? this.#outbox.take(1) : []
    if (line !== undefined) this.#places.set(line, this.#taken++)
    return line
  }

  #placeOf(line: OutboxLine): number {
    return this.#places.get(line) ?? 0
  }
}
