import { frameBytes, writeFrame } from "./frame-encoder.js"
import type { Payload } from "./payload.js"

/**
 * Messages in a row, as the frames in which they go out. A message is written once, outside of the JavaScript
 * heap, and everybody it goes to is sent the same bytes.
 */
export class FrameBuffer {
  readonly #bytes: Buffer
  #lastStart = 0
  #usedBytes = 0

  /** @param capacityBytes - what the page takes from memory, whether it is full or not */
  constructor(capacityBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacityBytes)
  }

  get capacityBytes(): number {
    return this.#bytes.length
  }

  /** Where the last message's frame starts. */
  get lastStart(): number {
    return this.#lastStart
  }

  /** Where the last message's frame ends. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /**
   * Writes one message.
   * @returns false when it does not fit
   */
  append(payload: Payload): boolean {
    if (this.#usedBytes + frameBytes(payload.bytes) > this.#bytes.length) return false
    this.#lastStart = this.#usedBytes
    this.#usedBytes = writeFrame(this.#bytes, this.#lastStart, payload)
    return true
  }

  /** The frames between two offsets; shared, never to be changed. */
  frames(start: number, end: number): Buffer {
    return this.#bytes.subarray(start, end)
  }
}
