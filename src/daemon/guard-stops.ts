import type { Clock } from "../base/clock.js"
import { quoteGuard } from "../client/relay-error.js"
import type { ChatError } from "../protocol/errors.js"
import type { GuardFacts } from "../protocol/guard-facts.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { GuardStop } from "./status-file.js"

/** Stops that are remembered: each is told once, however many lines it refuses. */
const mostStops = 100
/** What the status tells of them. */
const shownStops = 20
/** Milliseconds after which one that nobody lifted is told again. */
const tellAgainMs = 3_600_000
const reasonLength = 300

/** The daemon's own guard: no relay speaks for it. */
const ownLayer = "breaker"

type Line = Readonly<Record<string, unknown>> & { readonly type: string }

/** What a daemon needs to know of a line that a guard refused. */
interface RefusedLine {
  readonly at: string
  readonly id: string
  readonly sha256: string
}

interface Kept {
  readonly stop: GuardStop
  /** Until when the same is not told again. */
  readonly quietUntil: number
}

/**
 * What guards have stopped, and has not been lifted. An agent that answers every line of its inbox would be kept
 * going by the lines that tell it to stop: so each stop is one line, not one for every line it refuses.
 */
export class GuardStops {
  readonly #clock: Clock
  readonly #tell: (line: Line, msgId?: string) => void
  readonly #stops = new Map<string, Kept>()

  /** @param tell - puts a line into the inbox */
  constructor(clock: Clock, tell: (line: Line, msgId?: string) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** What stands now, oldest first. */
  get list(): readonly GuardStop[] {
    const now = this.#clock.now()
    for (const [key, { stop, quietUntil }] of this.#stops) {
      if ((stop.until ?? quietUntil) <= now) this.#stops.delete(key)
    }
    return [...this.#stops.values()].map(({ stop }) => stop).slice(-shownStops)
  }

  /** The relay tells of a guard. */
  heard(message: ServerMessage<"GUARD">): void {
    const facts = quoteGuard(message)
    const { state, retry_after_ms: retryAfterMs, ts } = message
    if (facts.layer === ownLayer) return
    const reason = message.reason.slice(0, reasonLength)
    const line = { type: "GUARD", state, ...facts, reason, ...wait(retryAfterMs), ts }
    if (state === "lifted") this.lift(facts)
    if (state !== "tripped" || this.stop(facts, reason, retryAfterMs)) this.#tell(line)
  }

  /** A line was refused; it is kept in rejected.jsonl. */
  refused({ at, id, sha256 }: RefusedLine, { guard, message, retryAfterMs, hint }: ChatError): void {
    if (guard === undefined || !this.stop(guard, message, retryAfterMs)) return
    const ts = this.#clock.now()
    const kept = { id, line_sha256: sha256, ...(hint === undefined ? {} : { mend: hint }) }
    const line = {
      type: "GUARD",
      state: "tripped",
      ...guard,
      reason: message,
      ...wait(retryAfterMs),
      ...kept,
    }
    this.#tell({ ...line, ts, msg_id: at }, at)
  }

  /**
   * Notes a stop.
   * @param retryAfterMs - undefined: somebody has to lift it
   * @returns whether it is news
   */
  stop(facts: GuardFacts, reason: string, retryAfterMs: number | undefined): boolean {
    const key = keyOf(facts)
    const now = this.#clock.now()
    const before = this.#stops.get(key)
    const isNews = before === undefined || before.quietUntil <= now
    const until = retryAfterMs === undefined ? undefined : now + retryAfterMs
    const since = before?.stop.since ?? now
    const { layer, scope, lifted_by } = facts
    const stop = { layer, scope, lifted_by, reason, since, ...(until === undefined ? {} : { until }) }
    this.#stops.delete(key)
    this.#stops.set(key, { stop, quietUntil: isNews ? (until ?? now + tellAgainMs) : before.quietUntil })
    const [oldest] = this.#stops.keys()
    if (this.#stops.size > mostStops && oldest !== undefined) this.#stops.delete(oldest)
    return isNews
  }

  /** It may go on. */
  lift(facts: Pick<GuardFacts, "layer" | "scope">): void {
    this.#stops.delete(keyOf(facts))
  }

  /** A message was taken: what would have stopped it is over. @param addressee - `#channel`, `+role` or agent id */
  spoke(self: string, addressee: string): void {
    const names = new Set([self, addressee, "in"])
    for (const [key, { stop }] of this.#stops) {
      if (stop.layer !== ownLayer && stop.scope.split(" ").every((name) => names.has(name)))
        this.#stops.delete(key)
    }
  }
}

function keyOf({ layer, scope }: Pick<GuardFacts, "layer" | "scope">): string {
  return layer === ownLayer ? layer : `${layer} ${scope}`
}

function wait(retryAfterMs: number | undefined): { retry_after_ms?: number } {
  return retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
}
