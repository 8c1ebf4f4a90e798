import type { Clock } from "../../base/clock.js"
import { messageCost } from "../../guards/gcra.js"
import type { GuardLimits } from "../../guards/limits.js"
import { type ClientMessage, type ClientType, isSpoken } from "../../protocol/client-messages.js"
import { ChatError, type ErrorCode } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { Agent } from "./agent.js"
import { ByteBudget } from "./byte-budget.js"
import { type DelayedFrame, DelayLine } from "./delay-line.js"
import type { IpLimiter } from "./ip-limiter.js"
import type { Session } from "./session.js"

/** Most bytes of UTF-8 that one UTF-16 code unit takes. */
const bytesPerUnit = 3

interface RateLimiterOptions {
  readonly clock: Clock
  readonly limits: Limits
  readonly guards: Pick<GuardLimits, "rateBytes" | "ratePatienceMs">
  readonly ipLimiter: Pick<IpLimiter, "takeMessage">
}

/** Requests that a lookup costs which fails: names are searched and compared, and guesses of hidden ones bounded. */
const failedLookupCost = 20
const failedLookups: ReadonlySet<ErrorCode> = new Set([
  "AGENT_NOT_FOUND",
  "CHANNEL_NOT_FOUND",
  // Says of a channel that one cannot see that it exists.
  "CHANNEL_EXISTS",
  "AMBIGUOUS_NAME",
])

/** Handles a frame that has waited. The next one waits for the promise. */
type Pass = (session: Session, message: ClientMessage) => void | Promise<void>

/**
 * Decides whether a frame is handled now, later or not at all. What {@link isSpoken} counts against the rate of its
 * agent, and waits for it. Everything else counts against the rate of its session, and waits only for messages
 * before it. PING and RECEIVED never wait.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #limits: Limits
  readonly #rateBytes: number
  readonly #ratePatienceMs: number
  readonly #pass: Pass
  readonly #ipLimiter: Pick<IpLimiter, "takeMessage">
  /** Bytes of all frames that wait. */
  readonly #budget: ByteBudget

  constructor({ clock, limits, guards, ipLimiter }: RateLimiterOptions, pass: Pass) {
    this.#ipLimiter = ipLimiter
    this.#clock = clock
    this.#limits = limits
    this.#rateBytes = guards.rateBytes
    this.#ratePatienceMs = guards.ratePatienceMs
    this.#pass = pass
    this.#budget = new ByteBudget(limits.delayedTotalBytes)
  }

  /**
   * @param text - the frame as it came
   * @returns false if the frame is passed later, unless its session ends before
   * @throws {ChatError} RATE_LIMITED if it comes too fast, or would have to wait too long
   */
  admit(session: Session, message: ClientMessage, text: string): boolean {
    const { type } = message
    const { delayLine } = session
    const isBehind = delayLine !== undefined && !delayLine.isEmpty
    const isMessage = isSpoken(message)
    // A message that is sent again while it waits was counted before.
    if (isMessage && !(isBehind && delayLine.has(message))) {
      return this.#admitMessage(session, message, text, isBehind)
    }
    this.#countRequest(session, message)
    if (!isBehind || type === "PING" || type === "RECEIVED") return true
    this.#delay(session, { message, bytes: Buffer.byteLength(text), cells: 0 })
    return false
  }

  /**
   * Charges a session for a lookup that failed. A daemon joins many channels at once that a restarted relay does not know,
   * and creates them; so JOIN is charged only up to half of the burst, and then answered without similar names.
   * @returns the answer
   */
  chargeRefusal({ requestRate }: Session, type: ClientType, error: ChatError): ChatError {
    const { code, message, hint } = error
    if (!failedLookups.has(code)) return error
    const nowMs = this.#clock.monotonic()
    if (type === "JOIN" && requestRate.usage(nowMs).used > this.#limits.requestBurst / 2)
      return new ChatError(code, message, hint === undefined ? {} : { hint })
    requestRate.charge(nowMs, failedLookupCost - 1)
    return error
  }

  #admitMessage(session: Session, message: ClientMessage, text: string, isBehind: boolean): boolean {
    const { meter, startMs } = session.agent.memory
    // Counting bytes takes longer than everything else here, and all short messages cost the same.
    const isShort = text.length * bytesPerUnit < this.#rateBytes
    const cells = isShort ? 1 : messageCost(Buffer.byteLength(text), this.#rateBytes)
    const nowMs = this.#clock.monotonic()
    // Sessions cost nothing: a new one has its burst, and what its rate has allowed since.
    const { rateBurst, ratePerSecond } = this.#limits
    const earnedMs = startMs + ((cells - rateBurst) / ratePerSecond) * 1_000
    if (cells > rateBurst && nowMs < earnedMs) throw rateError(message.type, Math.ceil(earnedMs - nowMs))
    const admission = meter.admit(nowMs, cells, this.#ratePatienceMs)
    if (!admission.ok) throw rateError(message.type, admission.retryAfterMs)
    this.#countForOrigin(session.agent, message.type, cells)
    if (admission.waitMs === 0 && !isBehind) return true
    this.#delay(session, { message, bytes: Buffer.byteLength(text), cells }, admission.waitMs)
    return false
  }

  /** Counts a message for the address of an agent that does not count by itself. @throws {ChatError} RATE_LIMITED */
  #countForOrigin(agent: Agent, type: ClientType, cells: number): void {
    const { sharedOrigin: origin } = agent
    if (origin === undefined) return
    const passage = this.#ipLimiter.takeMessage(origin, cells)
    if (passage.ok) return
    agent.memory.meter.giveBack(cells)
    throw rateError(type, passage.retryAfterMs)
  }

  /** Counts a request. RECEIVED follows what was sent to the client; its handler counts what does not. */
  #countRequest(session: Session, message: ClientMessage): void {
    if (message.type === "RECEIVED") return
    const passage = session.requestRate.take(this.#clock.monotonic())
    if (!passage.ok) throw rateError(message.type, passage.retryAfterMs)
  }

  #delay(session: Session, frame: DelayedFrame, waitMs = 0): void {
    const { meter } = session.agent.memory
    session.delayLine ??= new DelayLine({
      ...{ clock: this.#clock, limits: this.#limits, meter, budget: this.#budget },
      pass: (message) => (session.isReadable ? this.#pass(session, message) : undefined),
    })
    if (session.delayLine.push(frame, waitMs)) return
    meter.giveBack(frame.cells)
    throw rateError(frame.message.type, Math.max(waitMs, session.delayLine.restMs))
  }
}

function rateError(type: ClientType, retryAfterMs: number): ChatError {
  return new ChatError("RATE_LIMITED", `${type}: too fast; wait ${retryAfterMs} ms`, { retryAfterMs })
}
