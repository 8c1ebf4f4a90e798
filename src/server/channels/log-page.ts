import { FrameBuffer } from "../wire/frame-buffer.js"
import { readFrame } from "../wire/frame-encoder.js"
import type { Payload } from "../wire/payload.js"

/** A page of a channel's log: it keeps what the members were sent, and finds each message of it again. */
export class LogPage extends FrameBuffer {
  /** Sequence number of the first message. */
  readonly firstSeq: number
  /** Where each message's frame ends. */
  readonly #ends: number[] = []

  constructor(firstSeq: number, capacityBytes: number) {
    super(capacityBytes)
    this.firstSeq = firstSeq
  }

  get count(): number {
    return this.#ends.length
  }

  override append(payload: Payload): boolean {
    if (!super.append(payload)) return false
    this.#ends.push(this.usedBytes)
    return true
  }

  /** The message at `index`, JSON. */
  text(index: number): string {
    return readFrame(this.frames(this.#ends[index - 1] ?? 0, this.#ends[index] ?? 0))
  }
}
