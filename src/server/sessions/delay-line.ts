import type { Clock, Timer } from "../../base/clock.js"
import type { Gcra } from "../../guards/gcra.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { Limits } from "../../protocol/limits.js"
import type { ByteBudget } from "./byte-budget.js"

/** A frame that is handled later. */
export interface DelayedFrame {
  readonly message: ClientMessage
  /** Size of the frame. */
  readonly bytes: number
  /** Charge to its agent's meter. Returned if the frame is dropped. */
  readonly cells: number
}

interface WaitingFrame extends DelayedFrame {
  readonly dueMs: number
}

interface DelayLineOptions {
  readonly clock: Clock
  readonly limits: Pick<Limits, "delayedFrames" | "delayedBytes">
  /** Of the agent of the session. */
  readonly meter: Gcra
  /** For the frames of all delay lines. */
  readonly budget: ByteBudget
  /** Handles a frame. The next frame waits for the promise. */
  readonly pass: (message: ClientMessage) => void | Promise<void>
}

/** Memory that a frame takes besides its bytes. */
const frameOverheadBytes = 512

/**
 * Frames that one session sent faster than its agent may, and all frames after them, in order. Each is handled when
 * the rate allows. Frames are charged to the rate when they come, so the longest wait bounds how many there are.
 */
export class DelayLine {
  readonly #options: DelayLineOptions
  readonly #waiting: WaitingFrame[] = []
  /** Ids of the messages among them. */
  readonly #ids = new Set<string>()
  #bytes = 0
  #lastDueMs = 0
  #timer: Timer | undefined
  #isHandling = false

  constructor(options: DelayLineOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Milliseconds until the last frame is due. */
  get restMs(): number {
    return Math.max(0, Math.ceil(this.#lastDueMs - this.#options.clock.monotonic()))
  }

  /** Returns whether a message with the same id waits. */
  has({ type, id }: ClientMessage): boolean {
    return type === "MSG" && id !== undefined && this.#ids.has(id)
  }

  /**
   * Adds a frame after the others.
   * @param waitMs - how long it waits even if there are no others
   * @returns false if there is no room
   */
  push(frame: DelayedFrame, waitMs: number): boolean {
    const { clock, limits, budget } = this.#options
    const bytes = frame.bytes + frameOverheadBytes
    const hasRoom = this.#waiting.length < limits.delayedFrames && this.#bytes + bytes <= limits.delayedBytes
    if (!hasRoom || !budget.fits(bytes)) return false
    budget.take(bytes)
    this.#bytes += bytes
    const dueMs = Math.max(clock.monotonic() + waitMs, this.isEmpty ? 0 : this.#lastDueMs)
    this.#lastDueMs = dueMs
    this.#waiting.push({ ...frame, dueMs })
    const { type, id } = frame.message
    if (type === "MSG" && id !== undefined) this.#ids.add(id)
    if (this.#timer === undefined) this.#passDue()
    return true
  }

  /** Drops all frames, when the session has ended. */
  drop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const { cells } of this.#waiting) this.#options.meter.giveBack(cells)
    this.#waiting.length = 0
    this.#ids.clear()
    this.#options.budget.give(this.#bytes)
    this.#bytes = 0
  }

  #passDue(): void {
    while (!this.#isHandling) {
      const [first] = this.#waiting
      if (first === undefined) return
      const restMs = first.dueMs - this.#options.clock.monotonic()
      if (restMs > 0) {
        this.#passLater(restMs)
        return
      }
      this.#remove(first)
      const handled = this.#options.pass(first.message)
      if (handled === undefined) continue
      this.#isHandling = true
      void handled.finally(() => {
        this.#isHandling = false
        this.#passDue()
      })
    }
  }

  #passLater(delayMs: number): void {
    const pass = () => {
      this.#timer = undefined
      this.#passDue()
    }
    this.#timer = this.#options.clock.setTimer(pass, delayMs, { unref: true })
  }

  #remove({ message, bytes }: WaitingFrame): void {
    this.#waiting.shift()
    // The same id may wait twice. The second message then finds that the first was delivered.
    if (message.type === "MSG" && message.id !== undefined) this.#ids.delete(message.id)
    this.#bytes -= bytes + frameOverheadBytes
    this.#options.budget.give(bytes + frameOverheadBytes)
  }
}
