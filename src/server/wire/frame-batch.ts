import type { FrameBuffer } from "./frame-buffer.js"

/**
 * Consecutive messages for the same recipients, in a row on one page. Every recipient queues the same Run, so
 * a message costs one append however many read it.
 * A run grows only while it is the last thing queued for each of its recipients: whatever is queued after
 * it seals it, so no recipient ever sees two messages in another order than the relay took them.
 */
export class FrameBatch {
  readonly #page: FrameBuffer
  readonly #start: number
  #end: number
  #isSealed = false
  #frames: Buffer | undefined

  /** Begins with the last message of `page`. */
  constructor(page: FrameBuffer) {
    this.#page = page
    this.#start = page.lastStart
    this.#end = page.usedBytes
  }

  /** Says that nothing may be added any more. */
  seal(): void {
    this.#isSealed = true
  }

  /** Takes in the last message of `page`, if the run is not sealed and that message follows its own. */
  extend(page: FrameBuffer): boolean {
    if (this.#isSealed || page !== this.#page || page.lastStart !== this.#end) return false
    this.#end = page.usedBytes
    return true
  }

  /** All messages as WebSocket frames; seals the run. */
  get frames(): Buffer {
    if (this.#frames === undefined) {
      this.#isSealed = true
      this.#frames = this.#page.frames(this.#start, this.#end)
    }
    return this.#frames
  }
}
