import { Gcra, messageCost } from "../../guards/gcra.js"
import type { WelcomeLimits } from "../../protocol/server-messages.js"

/** Share of the relay's rate that is used, so that network jitter does not exceed it. */
const rateShare = 0.98

/** Counts frames against a relay's rate limit as the relay does, so that none is refused. */
export class RatePacer {
  readonly #limits: WelcomeLimits
  readonly #meter: Gcra
  readonly #bytesPerCell: number

  constructor(limits: WelcomeLimits) {
    this.#limits = limits
    const { rate_per_s, burst, rate_bytes = 0 } = limits
    this.#meter = new Gcra({ ratePerSecond: rate_per_s * rateShare, burst: Math.max(1, burst) })
    // Older relays count each message once, however long it is, and send no rate_bytes.
    this.#bytesPerCell = rate_bytes > 0 ? rate_bytes : Infinity
  }

  /** Reports whether a relay with these limits counts in the same way. */
  matches({ rate_per_s, burst, rate_bytes }: WelcomeLimits): boolean {
    const own = this.#limits
    return own.rate_per_s === rate_per_s && own.burst === burst && own.rate_bytes === rate_bytes
  }

  /**
   * Counts a frame if it may be sent now.
   * @param bytes - length of the frame
   * @returns 0, or the milliseconds after which to ask again
   */
  waitMs(bytes: number, nowMs: number): number {
    const admission = this.#meter.admit(nowMs, this.#cost(bytes), 0)
    return admission.ok ? 0 : Math.max(1, admission.retryAfterMs)
  }

  /** Counts what signing added to a draft, which was counted before. */
  addSignature(draftBytes: number, statementBytes: number, nowMs: number): void {
    const more = this.#cost(statementBytes) - this.#cost(draftBytes)
    if (more > 0) this.#meter.admit(nowMs, more, Infinity)
  }

  #cost(bytes: number): number {
    return this.#bytesPerCell === Infinity ? 1 : messageCost(bytes, this.#bytesPerCell)
  }
}
