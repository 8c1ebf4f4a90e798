import { mayOvertake } from "./limits.js"
import { mayBeOvertaken } from "./line.js"
import type { Outbox, OutboxLine } from "./outbox.js"

/** Lines taken from the outbox at once. */
const batchLines = 64
/** Number of messages held by the daemon's own guard at which no further line is taken. */
const maxHeld = 256

/**
 * Decides which line is sent next: lines that were taken and are not in flight, then the outbox. Lines are sent, and
 * sent again, in the order in which they were taken. Only messages held by the daemon's own guard are overtaken.
 */
export class SendOrder {
  readonly #outbox: Pick<Outbox, "take" | "takeOvertaking">
  readonly #isHeld: (line: OutboxLine) => boolean
  /** Taken from the outbox; the first of them that is not sent is at `#nextFresh`. */
  #fresh: readonly OutboxLine[] = []
  #nextFresh = 0
  /** Lines put back, and lines refused for a while, in order. */
  readonly #due: OutboxLine[] = []
  readonly #held: OutboxLine[] = []
  /** Lines in flight before a line that is sent again. If the relay refuses them too, they go first. */
  readonly #uncertain = new Set<OutboxLine>()
  #taken = 0

  /** @param isHeld - reports whether the daemon's own guard holds a message for now */
  constructor(outbox: Pick<Outbox, "take" | "takeOvertaking">, isHeld: (line: OutboxLine) => boolean) {
    this.#outbox = outbox
    this.#isHeld = isHeld
  }

  /** True while the next line depends on the answer to a line in flight. Until then nothing may be sent. */
  get isUncertain(): boolean {
    return this.#uncertain.size > 0
  }

  /** Returns the next line. The caller sends it, or gives it back to one of the methods below. */
  next(): OutboxLine | undefined {
    const due = this.#due[0]
    const held = this.#held[0]
    if (held === undefined || (due !== undefined && isBefore(due, held)) || this.#isHeld(held)) {
      return this.#due.shift() ?? this.#takeFresh()
    }
    return this.#held.shift()
  }

  /** Number of messages held by the daemon's own guard. */
  get held(): number {
    return this.#held.length
  }

  /** True while so many messages are held that no further line is taken. */
  get isFull(): boolean {
    return this.#held.length >= maxHeld
  }

  /** Takes the requests that may be sent before the messages that wait. They overtake nothing else. */
  takeOvertaking(): OutboxLine[] {
    const isMessage = ({ frame }: OutboxLine) => mayBeOvertaken(frame)
    const passing: OutboxLine[] = []
    if (this.#due.every(isMessage)) {
      const waiting = this.#fresh.slice(this.#nextFresh)
      const rest = [...waiting, ...this.#outbox.take(batchLines - waiting.length)]
      const end = rest.findIndex((line) => !isMessage(line) && !mayOvertake(line.frame))
      passing.push(...rest.slice(0, end < 0 ? rest.length : end).filter((line) => mayOvertake(line.frame)))
      this.#fresh = rest.filter((line) => !passing.includes(line))
      this.#nextFresh = 0
    }
    passing.push(...this.#outbox.takeOvertaking())
    for (const line of passing) line.position = ++this.#taken
    return passing
  }

  /** Puts a line back, so that it is the next one. */
  putBack(line: OutboxLine): void {
    insert(line, this.#due)
  }

  /** Holds a line for the daemon's own guard. */
  hold(line: OutboxLine): void {
    insert(line, this.#held)
  }

  /** Sends a line again, in its position. @param inFlight - lines that were sent and not answered */
  repeat(line: OutboxLine, inFlight: Iterable<OutboxLine>): void {
    insert(line, this.#due)
    for (const other of inFlight) if (isBefore(other, line)) this.#uncertain.add(other)
  }

  /** Handles the answer to a line in flight. */
  answered(line: OutboxLine): void {
    this.#uncertain.delete(line)
  }

  /** Forgets all lines: the outbox hands them out again. */
  clear(): void {
    this.#fresh = []
    this.#nextFresh = 0
    this.#due.length = 0
    this.#held.length = 0
    this.#uncertain.clear()
  }

  #takeFresh(): OutboxLine | undefined {
    if (this.isFull) return undefined
    if (this.#nextFresh >= this.#fresh.length) {
      this.#fresh = this.#outbox.take(batchLines)
      this.#nextFresh = 0
    }
    const line = this.#fresh[this.#nextFresh++]
    if (line !== undefined) line.position = ++this.#taken
    return line
  }
}

function isBefore(a: OutboxLine, b: OutboxLine): boolean {
  return (a.position ?? 0) < (b.position ?? 0)
}

function insert(line: OutboxLine, lines: OutboxLine[]): void {
  lines.push(line)
  lines.sort((a, b) => (a.position ?? 0) - (b.position ?? 0))
}
