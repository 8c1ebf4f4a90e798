import { formatNumbered } from "./line.js"

/** What is to be told once a line is on disk. */
export interface Receipt {
  readonly msgId: string | undefined
  readonly mark: unknown
  /** The line's number, once it is in the file; a double has none. */
  seq?: number
}

/** A line that waits for its turn. Without a body it is only a receipt: its line went before it. */
export interface QueuedLine extends Receipt {
  readonly body: string | undefined
}

/** Lines that are written by one system call, already numbered. */
export interface InboxBatch {
  readonly entries: readonly QueuedLine[]
  readonly lines: number
  readonly bytes: Buffer
  /** Bytes of it that are in the file; less than all of them only after the disk ran full. */
  written: number
}

const newline = 0x0a

/** Lines in the order they came. They get their numbers when they leave, not before. */
export class InboxQueue {
  #entries: QueuedLine[] = []
  /** Characters of all bodies: a fair guess at their bytes. */
  #size = 0

  get size(): number {
    return this.#size
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  push(entry: QueuedLine): void {
    this.#entries.push(entry)
    this.#size += sizeOf(entry)
  }

  /** Puts lines before all others. */
  unshift(...entries: readonly QueuedLine[]): void {
    this.#entries = [...entries, ...this.#entries]
    for (const entry of entries) this.#size += sizeOf(entry)
  }

  /**
   * Takes the next lines, at least one and then up to `maxSize`.
   * @param firstSeq - number of the first of them
   * @param offset - where in the file it will stand
   */
  take(firstSeq: number, offset: number, maxSize: number): InboxBatch {
    let count = 0
    let size = 0
    for (const entry of this.#entries) {
      if (count > 0 && size + sizeOf(entry) > maxSize) break
      count++
      size += sizeOf(entry)
    }
    const entries = this.#entries.splice(0, count)
    this.#size -= size
    const bodies = entries.map(({ body }) => body).filter((body) => body !== undefined)
    const bytes = Buffer.from(formatNumbered(firstSeq, bodies, offset))
    return { entries, lines: bodies.length, bytes, written: 0 }
  }

  /**
   * Takes back what of a batch is not in the file as a whole line; it will be numbered again.
   * @returns the entries that are, and how many lines they are
   */
  giveBack(batch: InboxBatch): { entries: readonly QueuedLine[]; lines: number } {
    const lines = countNewlines(batch.bytes.subarray(0, batch.written))
    let left = lines
    const cut = batch.entries.findIndex(({ body }) => body !== undefined && left-- === 0)
    const count = cut < 0 ? batch.entries.length : cut
    this.unshift(...batch.entries.slice(count))
    return { entries: batch.entries.slice(0, count), lines }
  }
}

function sizeOf(entry: QueuedLine): number {
  return entry.body?.length ?? 0
}

function countNewlines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++
  return count
}
