import type { FrameBatch } from "./frame-buffer.js"
import { FrameBuffer } from "./frame-buffer.js"
import type { Payload } from "./frame-encoder.js"
import { frameBytes } from "./frame-encoder.js"

const pageBytes = 64 * 1024

/** Something with runs to write at the end of the tick. */
export interface Flushable {
  /** Hands over what is queued; called once per tick. */
  takeBatches(): readonly FrameBatch[]
  /** Sends `frames`, which other recipients may share: never to be changed. */
  write(frames: Buffer): void
}

/**
 * The one flush of a relay: everything queued while a round of sockets was read goes out when the round is
 * over, with one write per session. Sessions that queued the same runs share one concatenated Buffer.
 */
export class WriteScheduler {
  /** Where messages stand that nobody keeps: answers, presence, direct messages. */
  #page = new FrameBuffer(pageBytes)
  #dirty: Flushable[] = []
  #sharedRuns: readonly FrameBatch[] = []
  #sharedFrames: Buffer | undefined

  /** Has `flushable` flushed at the end of this tick. */
  schedule(flushable: Flushable): void {
    if (this.#dirty.length === 0) setImmediate(() => this.#flush())
    this.#dirty.push(flushable)
  }

  /** Writes one message that nobody keeps, and says on which page it stands as the last. */
  append(payload: Payload): FrameBuffer {
    if (!this.#page.append(payload)) {
      this.#page = new FrameBuffer(Math.max(pageBytes, frameBytes(payload.bytes)))
      this.#page.append(payload)
    }
    return this.#page
  }

  #flush(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (const flushable of dirty) {
      const runs = flushable.takeBatches()
      if (runs.length > 0) flushable.write(this.#join(runs))
    }
    this.#sharedRuns = []
    this.#sharedFrames = undefined
  }

  #join(runs: readonly FrameBatch[]): Buffer {
    const [first] = runs
    if (first !== undefined && runs.length === 1) return first.frames
    if (this.#sharedFrames === undefined || !isSameList(runs, this.#sharedRuns)) {
      this.#sharedRuns = runs
      this.#sharedFrames = Buffer.concat(runs.map((run) => run.frames))
    }
    return this.#sharedFrames
  }
}

function isSameList(a: readonly FrameBatch[], b: readonly FrameBatch[]): boolean {
  return a.length === b.length && a.every((run, i) => run === b[i])
}
