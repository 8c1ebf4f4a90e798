import type { OutboxFrame } from "./line.js"

/** A line that waits to be sent, or was taken and waits for its answer. */
export interface OutboxLine {
  /** The line's own `id`, else {@link at}. The same after every crash. */
  readonly id: string
  /** The line's place, as one word. Unique in this outbox. */
  readonly at: string
  /** SHA-256 of the line without its line ending, in hex. */
  readonly sha256: string
  readonly frame: OutboxFrame
  /** Position in the send order, assigned by {@link SendOrder}. */
  position?: number
  /** Marks the line as accepted or rejected: it will not be taken again, not even after a crash. */
  settle(): void
}

/** Where lines come from: a file of outbox.jsonl, or outbox.d. */
export interface LineSource {
  /** Returns the line as it was written, or the path of a file that holds nothing else. */
  bodyOf(line: SendableLine): Buffer | string
  onSettled(line: QueuedLine): void
}

/** The names and byte offsets of a line. */
export interface LinePlace {
  readonly at: string
  readonly id: string
  readonly start: number
  /** Offset of the newline. */
  readonly end: number
}

/** A complete line, from when it is read until it is settled. One that is no {@link SendableLine} is being rejected. */
export class QueuedLine {
  readonly at: string
  readonly id: string
  readonly start: number
  readonly end: number
  readonly source: LineSource
  #isSettled = false

  constructor(source: LineSource, place: LinePlace) {
    this.source = source
    this.at = place.at
    this.id = place.id
    this.start = place.start
    this.end = place.end
  }

  get bytes(): number {
    return this.end - this.start
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.source.onSettled(this)
  }
}

/** A line that can be sent. */
export class SendableLine extends QueuedLine implements OutboxLine {
  readonly sha256: string
  readonly frame: OutboxFrame
  position = 0
  isTaken = false

  constructor(source: LineSource, place: LinePlace, sha256: string, frame: OutboxFrame) {
    super(source, place)
    this.sha256 = sha256
    this.frame = frame
  }
}

/** The lines of one source in order, from the first that is not settled. */
export class LineQueue {
  #lines: QueuedLine[] = []
  /** Indexes of the first unsettled line and of the next one to take. */
  #head = 0
  #next = 0
  #pushed = 0
  #passed = 0
  #taken = 0
  #settled = 0
  #readyBytes = 0

  /** Number of lines from the first unsettled one on. */
  get length(): number {
    return this.#pushed - this.#passed
  }

  /** Number of lines before the first unsettled one. */
  get passed(): number {
    return this.#passed
  }

  /** Number of lines up to the furthest that was ever taken. */
  get taken(): number {
    return this.#taken
  }

  /** Number of lines pushed and not settled. */
  get unsettled(): number {
    return this.#pushed - this.#settled
  }

  /** Bytes of the lines that are ready to be taken. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  /** The first line that is not settled. */
  get first(): QueuedLine | undefined {
    return this.#lines[this.#head]
  }

  push(line: QueuedLine): void {
    this.#lines.push(line)
    this.#pushed++
    if (line instanceof SendableLine) this.#readyBytes += line.bytes
  }

  /**
   * Takes the next line that can be sent.
   * @param mayBeNew - whether it may be one that was never taken before
   */
  take(mayBeNew: boolean): SendableLine | undefined {
    for (let line = this.#lines[this.#next]; line !== undefined; line = this.#lines[this.#next]) {
      if (!mayBeNew && this.#nextNumber >= this.#taken) return undefined
      this.#advance(line)
      if (line instanceof SendableLine && !line.isSettled && !line.isTaken) return takeNow(line)
    }
    return undefined
  }

  /** Takes all lines that can be sent and whose frame fits, wherever they are. */
  takeFitting(fits: (frame: OutboxFrame) => boolean): SendableLine[] {
    const found = this.#lines.slice(this.#next).flatMap((line) => {
      const isFree = line instanceof SendableLine && !line.isSettled && !line.isTaken
      return isFree && fits(line.frame) ? takeNow(line) : []
    })
    for (const line of found) this.#readyBytes -= line.bytes
    return found
  }

  /** Makes all taken, unsettled lines ready again, in order. */
  release(): void {
    this.#next = this.#head
    this.#readyBytes = 0
    for (const line of this.#lines.slice(this.#head)) {
      if (!(line instanceof SendableLine)) continue
      line.isTaken = false
      this.#readyBytes += line.bytes
    }
  }

  /** Counts a settled line; call once for each. */
  onSettled(): void {
    this.#settled++
    for (let line = this.first; line?.isSettled === true; line = this.first) {
      if (this.#next === this.#head) this.#advance(line)
      this.#head++
      this.#passed++
    }
    if (this.#head < 256 || this.#head * 2 < this.#lines.length) return
    this.#lines = this.#lines.slice(this.#head)
    this.#next -= this.#head
    this.#head = 0
  }

  /** Number of the next line, counted from the first ever pushed. */
  get #nextNumber(): number {
    return this.#passed + this.#next - this.#head
  }

  #advance(line: QueuedLine): void {
    this.#next++
    this.#taken = Math.max(this.#taken, this.#nextNumber)
    if (line instanceof SendableLine && !line.isTaken) this.#readyBytes -= line.bytes
  }
}

function takeNow(line: SendableLine): SendableLine {
  line.isTaken = true
  return line
}
