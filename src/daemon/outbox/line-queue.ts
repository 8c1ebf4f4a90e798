import type { OutboxFrame } from "./line.js"

/** A line that waits to be sent, or was handed out and waits for its answer. */
export interface OutboxLine {
  /** The line's own `id`, else its place. The same after every crash. */
  readonly id: string
  /** Its place, as one word: no other line of this outbox ever has it. */
  readonly at: string
  /** SHA-256 of the line without its line ending, in hex. */
  readonly sha256: string
  readonly frame: OutboxFrame
  /** Answered or refused for good: it will not be handed out again, not even after a crash. */
  settle(): void
}

/** What a line belongs to. */
export interface LineOwner {
  /** The bytes of a line as they were written, or the path of a file that is the line. */
  bodyOf(line: SendableLine): Buffer | string
  onSettled(line: QueuedLine): void
}

/** A whole line of one source, from when it was read until it is settled. Without a frame it is not to be sent. */
export class QueuedLine {
  readonly at: string
  readonly id: string
  readonly start: number
  /** Place of its newline. */
  readonly end: number
  readonly #owner: LineOwner
  #isSettled = false

  constructor(owner: LineOwner, place: { at: string; id: string; start: number; end: number }) {
    this.#owner = owner
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
    this.#owner.onSettled(this)
  }
}

/** A line that can be sent. */
export class SendableLine extends QueuedLine implements OutboxLine {
  readonly sha256: string
  readonly frame: OutboxFrame
  readonly #owner: LineOwner

  constructor(
    owner: LineOwner,
    place: { at: string; id: string; start: number; end: number },
    sha256: string,
    frame: OutboxFrame,
  ) {
    super(owner, place)
    this.#owner = owner
    this.sha256 = sha256
    this.frame = frame
  }

  /** See {@link LineOwner.bodyOf}. */
  body(): Buffer | string {
    return this.#owner.bodyOf(this)
  }
}

/** The lines of one source in order, from the first that is not settled. */
export class LineQueue {
  #lines: QueuedLine[] = []
  #head = 0
  #next = 0
  #read = 0
  #passed = 0
  #handed = 0
  #settled = 0
  #readyBytes = 0

  /** Lines from the first that is not settled on. */
  get length(): number {
    return this.#read - this.#passed
  }

  /** Lines before the first that is not settled. */
  get passed(): number {
    return this.#passed
  }

  /** Lines before the furthest that anybody ever took. */
  get handed(): number {
    return this.#handed
  }

  /** Lines put in and not settled. */
  get unsettled(): number {
    return this.#read - this.#settled
  }

  /** Bytes of lines that nobody took yet. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  /** The first line that is not settled. */
  get first(): QueuedLine | undefined {
    return this.#lines[this.#head]
  }

  push(line: QueuedLine): void {
    this.#lines.push(line)
    this.#read++
    if (line instanceof SendableLine) this.#readyBytes += line.bytes
  }

  /**
   * Hands out the next line that can be sent.
   * @param mayBeNew - whether it may be one that nobody took before
   */
  take(mayBeNew: boolean): SendableLine | undefined {
    for (let line = this.#lines[this.#next]; line !== undefined; line = this.#lines[this.#next]) {
      if (!mayBeNew && this.#position >= this.#handed) return undefined
      this.#pass(line)
      if (line instanceof SendableLine && !line.isSettled) return line
    }
    return undefined
  }

  /** Whatever was taken and is not settled will be taken again, in order. */
  release(): void {
    this.#next = this.#head
    this.#readyBytes = 0
    for (const line of this.#lines.slice(this.#head)) {
      if (line instanceof SendableLine) this.#readyBytes += line.bytes
    }
  }

  /** To be called once for each line that is settled now. */
  onSettled(): void {
    this.#settled++
    for (let line = this.first; line?.isSettled === true; line = this.first) {
      if (this.#next === this.#head) this.#pass(line)
      this.#head++
      this.#passed++
    }
    if (this.#head < 256 || this.#head * 2 < this.#lines.length) return
    this.#lines = this.#lines.slice(this.#head)
    this.#next -= this.#head
    this.#head = 0
  }

  /** Number of the next line, counted from the first ever put in. */
  get #position(): number {
    return this.#passed + this.#next - this.#head
  }

  #pass(line: QueuedLine): void {
    this.#next++
    this.#handed = Math.max(this.#handed, this.#position)
    if (line instanceof SendableLine) this.#readyBytes -= line.bytes
  }
}
