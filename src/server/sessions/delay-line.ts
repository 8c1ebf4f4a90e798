import type { Clock, Timer } from "../../base/clock.js"
import type { Gcra } from "../../guards/gcra.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { Limits } from "../../protocol/limits.js"
import type { ByteBudget } from "./byte-budget.js"

/** A frame that is not handled at once. */
export interface Delayed {
  readonly message: ClientMessage
  /** As it came. */
  readonly bytes: number
  /** What its agent's meter was charged for it; given back if it is dropped. */
  readonly cells: number
}

interface Waiting extends Delayed {
  readonly dueMs: number
}

/** What a line needs. */
interface DelayLineOptions {
  readonly clock: Clock
  readonly limits: Pick<Limits, "delayedFrames" | "delayedBytes">
  /** Of the agent whose session it is. */
  readonly meter: Gcra
  /** For what waits in all lines. */
  readonly budget: ByteBudget
  /** Handles a frame; the next one waits for that. */
  readonly pass: (message: ClientMessage) => void | Promise<void>
}

/** What a frame takes beside its bytes. */
const frameOverheadBytes = 512
/** Node's timers end at once when they are to take longer than 24 days. */
const longestTimerMs = 86_400_000

/**
 * What one session said faster than its agent may, in order, and what it said after that: each passes once the rate
 * allows. It is charged when it comes, so what waits is bounded by the patience, and by the limits if that is long.
 */
export class DelayLine {
  readonly #options: DelayLineOptions
  readonly #waiting: Waiting[] = []
  /** Ids of the messages among them. */
  readonly #ids = new Set<string>()
  #bytes = 0
  #lastDueMs = 0
  #timer: Timer | undefined
  #isHandling = false

  constructor(options: DelayLineOptions) {
    this.#options = options
  }

  /** Whether nothing has to be waited for. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Milliseconds until the last of them passes. */
  get restMs(): number {
    return Math.max(0, Math.ceil(this.#lastDueMs - this.#options.clock.monotonic()))
  }

  /** Whether the same message waits already. */
  has({ type, id }: ClientMessage): boolean {
    return type === "MSG" && id !== undefined && this.#ids.has(id)
  }

  /**
   * Puts a frame behind the others.
   * @param waitMs - how long it waits even if they do not
   * @returns false when there is no room
   */
  push(delayed: Delayed, waitMs: number): boolean {
    const { clock, limits, budget } = this.#options
    const bytes = delayed.bytes + frameOverheadBytes
    const isRoom = this.#waiting.length < limits.delayedFrames && this.#bytes + bytes <= limits.delayedBytes
    if (!isRoom || !budget.fits(bytes)) return false
    budget.take(bytes)
    this.#bytes += bytes
    const dueMs = Math.max(clock.monotonic() + waitMs, this.isEmpty ? 0 : this.#lastDueMs)
    this.#lastDueMs = dueMs
    this.#waiting.push({ ...delayed, dueMs })
    const { type, id } = delayed.message
    if (type === "MSG" && id !== undefined) this.#ids.add(id)
    if (this.#timer === undefined) this.#passDue()
    return true
  }

  /** The session has ended: nothing of it passes, and what was not said is not counted. */
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
      void handled.then(() => {
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
    this.#timer = this.#options.clock.setTimer(pass, Math.min(delayMs, longestTimerMs), { unref: true })
  }

  #remove({ message, bytes }: Waiting): void {
    this.#waiting.shift()
    // The same id may wait twice; the second finds the first delivered.
    if (message.type === "MSG" && message.id !== undefined) this.#ids.delete(message.id)
    this.#bytes -= bytes + frameOverheadBytes
    this.#options.budget.give(bytes + frameOverheadBytes)
  }
}
