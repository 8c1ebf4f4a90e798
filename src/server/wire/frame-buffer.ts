import { frameBytes, writeFrame } from "./frame-encoder.js"

/**
 * Consecutive messages, stored as the frames in which they are sent. Each message is encoded once, outside of the
 * JavaScript heap, and all recipients are sent the same bytes.
 */
export class FrameBuffer {
  readonly #bytes: Buffer
  #lastStart = 0
  #usedBytes = 0

  constructor(capacityBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacityBytes)
  }

  get capacityBytes(): number {
    return this.#bytes.length
  }

  /** Offset of the last frame. */
  get lastStart(): number {
    return this.#lastStart
  }

  /** Offset after the last frame. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Adds a message. @param bytes - its size in UTF-8 @returns false if it does not fit */
  append(text: string, bytes: number): boolean {
    if (this.#usedBytes + frameBytes(bytes) > this.#bytes.length) return false
    this.#lastStart = this.#usedBytes
    this.#usedBytes = writeFrame(this.#bytes, this.#lastStart, text, bytes)
    return true
  }

  /** Returns the frames between two offsets. The memory is shared and must not be changed. */
  frames(start: number, end: number): Buffer {
    return this.#bytes.subarray(start, end)
  }
}

/**
 * Consecutive frames of one buffer that have the same recipients. All recipients queue the same batch, so adding a
 * message costs the same however many there are.
 *
 * A batch grows only while it is the last one in each recipient's queue. Queueing anything after it seals it, so
 * every recipient gets its messages in the order the relay took them.
 */
export class FrameBatch {
  readonly #buffer: FrameBuffer
  readonly #start: number
  #end: number
  #isSealed = false
  #frames: Buffer | undefined

  /** Starts with the last message of `buffer`. */
  constructor(buffer: FrameBuffer) {
    this.#buffer = buffer
    this.#start = buffer.lastStart
    this.#end = buffer.usedBytes
  }

  seal(): void {
    this.#isSealed = true
  }

  /** Adds the last message of `buffer`. @returns false if the batch is sealed or that message does not follow it */
  extend(buffer: FrameBuffer): boolean {
    if (this.#isSealed || buffer !== this.#buffer || buffer.lastStart !== this.#end) return false
    this.#end = buffer.usedBytes
    return true
  }

  /** All messages as WebSocket frames. Reading them seals the batch. */
  get frames(): Buffer {
    if (this.#frames === undefined) {
      this.#isSealed = true
      this.#frames = this.#buffer.frames(this.#start, this.#end)
    }
    return this.#frames
  }
}
