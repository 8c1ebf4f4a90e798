import type { Clock } from "../../base/clock.js"
import { messageCost } from "../../guards/gcra.js"
import type { GuardLimits } from "../../guards/limits.js"
import type { ClientMessage, ClientType } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import { ByteBudget } from "./byte-budget.js"
import { type Delayed, DelayLine } from "./delay-line.js"
import type { Session } from "./session.js"

/** A UTF-16 code unit takes at most so many bytes in UTF-8. */
const bytesPerUnit = 3

/** What a turnstile goes by. */
interface TurnstileOptions {
  readonly clock: Clock
  readonly limits: Limits
  readonly guards: Pick<GuardLimits, "rateBytes" | "ratePatienceMs">
}

/** Handles what has waited; a promise keeps what comes behind it. */
type Pass = (session: Session, message: ClientMessage) => void | Promise<void>

/**
 * Decides whether what a session says is handled now, later or not at all. Messages and proposals count against their
 * sender and wait for the rate; everything else counts against the session, and waits only to keep the order. PING and
 * RECEIVED wait for nothing.
 */
export class RateLimiter {
  readonly #options: TurnstileOptions
  readonly #pass: Pass
  /** For what waits, of all sessions. */
  readonly #budget: ByteBudget

  constructor(options: TurnstileOptions, pass: Pass) {
    this.#options = options
    this.#pass = pass
    this.#budget = new ByteBudget(options.limits.delayedTotalBytes)
  }

  /**
   * @param text - the message as it came
   * @returns whether it is to be handled now; if not, it is passed later unless the session ends before
   * @throws {ChatError} RATE_LIMITED when it comes too fast, or would have to wait for too long
   */
  admit(session: Session, message: ClientMessage, text: string): boolean {
    const { type } = message
    const { delayLine } = session
    const isBehind = delayLine !== undefined && !delayLine.isEmpty
    const isMessage = type === "MSG" || type === "PROPOSAL"
    // Sent again while it waits, it was paid for.
    if (isMessage && !(isBehind && delayLine.has(message)))
      return this.#weigh(session, message, text, isBehind)
    this.#count(session, message)
    if (!isBehind || type === "PING" || type === "RECEIVED") return true
    this.#delay(session, { message, bytes: Buffer.byteLength(text), cells: 0 })
    return false
  }

  #weigh(session: Session, message: ClientMessage, text: string, isBehind: boolean): boolean {
    const { clock, guards } = this.#options
    const { meter } = session.agent.memory
    // Counting bytes takes longer than all the rest here; what is short costs the same whatever it is made of.
    const isShort = text.length * bytesPerUnit < guards.rateBytes
    const cells = isShort ? 1 : messageCost(Buffer.byteLength(text), guards.rateBytes)
    const admission = meter.admit(clock.monotonic(), cells, guards.ratePatienceMs)
    if (!admission.ok) throw tooFast(message.type, admission.retryAfterMs)
    if (admission.waitMs === 0 && !isBehind) return true
    this.#delay(session, { message, bytes: Buffer.byteLength(text), cells }, admission.waitMs)
    return false
  }

  /** RECEIVED follows what was sent; only what readers took is news. */
  #count(session: Session, message: ClientMessage): void {
    if (message.type === "RECEIVED" && message.retrieved === undefined) return
    const passage = session.requestRate.take(this.#options.clock.monotonic())
    if (!passage.ok) throw tooFast(message.type, passage.retryAfterMs)
  }

  #delay(session: Session, frame: Delayed, waitMs = 0): void {
    const { clock, limits } = this.#options
    const { meter } = session.agent.memory
    session.delayLine ??= new DelayLine({
      ...{ clock, limits, meter, budget: this.#budget },
      pass: (message) => (session.isReadable ? this.#pass(session, message) : undefined),
    })
    if (session.delayLine.push(frame, waitMs)) return
    meter.giveBack(frame.cells)
    throw tooFast(frame.message.type, Math.max(waitMs, session.delayLine.restMs))
  }
}

function tooFast(type: ClientType, retryAfterMs: number): ChatError {
  return new ChatError("RATE_LIMITED", `${type}: too fast; wait ${retryAfterMs} ms`, { retryAfterMs })
}
