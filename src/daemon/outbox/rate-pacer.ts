import { Gcra, messageCost } from "../../guards/gcra.js"
import type { WelcomeLimits } from "../../protocol/server-messages.js"

/** Share of the relay's rate that is used, so that jitter on the way does not break its limit. */
const rateShare = 0.98

/** The rate of a relay, counted as the relay counts it. */
export class RatePacer {
  readonly #limits: WelcomeLimits
  readonly #meter: Gcra
  readonly #bytesPerCell: number

  constructor(limits: WelcomeLimits) {
    this.#limits = limits
    const { rate_per_s, burst, rate_bytes = 0 } = limits
    this.#meter = new Gcra({ ratePerSecond: rate_per_s * rateShare, burst: Math.max(1, burst) })
    // Older relays count a message as one, however long it is, or do not tell.
    this.#bytesPerCell = rate_bytes > 0 ? rate_bytes : Infinity
  }

  /** Whether a relay that says this is one that is counted so. */
  isOf({ rate_per_s, burst, rate_bytes }: WelcomeLimits): boolean {
    const own = this.#limits
    return own.rate_per_s === rate_per_s && own.burst === burst && own.rate_bytes === rate_bytes
  }

  /** Counts a frame if it may go out now. @returns 0, or after how many milliseconds to ask again */
  waitMs(frame: object, nowMs: number): number {
    const admission = this.#meter.admit(nowMs, this.#costOf(frame), 0)
    return admission.ok ? 0 : Math.max(1, admission.retryAfterMs)
  }

  /** Counts what a statement costs beyond its draft, which was counted before it could be signed. */
  add(draft: object, statement: object, nowMs: number): void {
    const more = this.#costOf(statement) - this.#costOf(draft)
    if (more > 0) this.#meter.admit(nowMs, more, Infinity)
  }

  #costOf(frame: object): number {
    if (this.#bytesPerCell === Infinity) return 1
    return messageCost(Buffer.byteLength(JSON.stringify(frame)), this.#bytesPerCell)
  }
}
