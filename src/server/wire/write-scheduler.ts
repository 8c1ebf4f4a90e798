import { type FrameBatch, FrameBuffer } from "./frame-buffer.js"
import { frameBytes } from "./frame-encoder.js"

const bufferBytes = 64 * 1024

/** The queue of a session, written at the end of a turn. */
export interface Flushable {
  /** Empties the queue. */
  takeBatches(): readonly FrameBatch[]
  /** Sends frames. Other recipients may share the memory, so it must not be changed. */
  write(frames: Buffer): void
}

/**
 * Writes everything that was queued while a round of sockets was read when that round is over, with one write per
 * session. Sessions that queued the same batches share one Buffer.
 */
export class WriteScheduler {
  /** Messages that are not kept for replay: answers, presence, direct messages. */
  #buffer = new FrameBuffer(bufferBytes)
  #scheduled: Flushable[] = []
  #lastBatches: readonly FrameBatch[] = []
  #lastFrames: Buffer | undefined

  /** Schedules a flush at the end of this turn. */
  schedule(flushable: Flushable): void {
    if (this.#scheduled.length === 0) setImmediate(() => this.#flush())
    this.#scheduled.push(flushable)
  }

  /** Encodes a message that is not kept for replay. @returns the buffer whose last frame it is */
  append(text: string): FrameBuffer {
    const bytes = Buffer.byteLength(text)
    if (!this.#buffer.append(text, bytes)) {
      this.#buffer = new FrameBuffer(Math.max(bufferBytes, frameBytes(bytes)))
      this.#buffer.append(text, bytes)
    }
    return this.#buffer
  }

  #flush(): void {
    const scheduled = this.#scheduled
    this.#scheduled = []
    for (const flushable of scheduled) {
      const batches = flushable.takeBatches()
      if (batches.length > 0) flushable.write(this.#join(batches))
    }
    this.#lastBatches = []
    this.#lastFrames = undefined
  }

  #join(batches: readonly FrameBatch[]): Buffer {
    const [first] = batches
    if (first !== undefined && batches.length === 1) return first.frames
    if (this.#lastFrames === undefined || !isSameList(batches, this.#lastBatches)) {
      this.#lastBatches = batches
      this.#lastFrames = Buffer.concat(batches.map((batch) => batch.frames))
    }
    return this.#lastFrames
  }
}

function isSameList(a: readonly FrameBatch[], b: readonly FrameBatch[]): boolean {
  return a.length === b.length && a.every((batch, i) => batch === b[i])
}
