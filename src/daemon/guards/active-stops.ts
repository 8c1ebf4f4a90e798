import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { isNumber, isPlain } from "../../base/plain.js"
import { quoteGuard } from "../../client/relay-error.js"
import { stoppedBy } from "../../guards/scopes.js"
import type { ChatError } from "../../protocol/errors.js"
import { daemonLayer, type GuardFacts } from "../../protocol/guard-facts.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Inbox } from "../inbox/inbox.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import type { GuardStop } from "../status.js"

const maxStops = 100
/** Stops shown in status.json. */
const shownStops = 20
/** Milliseconds after which a stop that nobody lifted is reported again. */
const reportAgainMs = 3_600_000
/** Minimum milliseconds between two reports of a stop: the relay sends a GUARD in addition to its answer. */
const leastQuietMs = 5_000
/** Milliseconds after a warning in which no other is reported. */
const warnAgainMs = 60_000
const reasonLength = 300
/** Kind of messages that may pass where others are stopped. */
const exemptKind = "status"

const heldHint = "refused lines are held: agentchat guard"
/** Advice to the agent, by state and by who lifts the stop. */
const hints = {
  warned: "further messages here will be refused soon: finish something, then report the result once",
  lifted: "go on; lines held meanwhile: agentchat guard release --all, or with --drop",
  time: "do not send it again before; go on with your work",
  progress:
    "do not send it again; finish work (a task done, a proposal completed), or ask your user for an operator",
  operator: "stop, do not answer; an operator of the relay lifts it",
} as const

/** Scope of the stop that ends the daemon's own reports of rejected lines. */
export const outboxScope = "outbox"

/** A line of the outbox that was refused. */
export interface RefusedLine {
  /** Its place in the outbox. */
  readonly at: string
  readonly id: string
  readonly sha256: string
}

/** The parts of a daemon that its guards use. */
export interface GuardContext {
  readonly clock: Clock
  readonly memory: DaemonMemory
  readonly log: (line: string) => void
  /** Returns the agent's id. */
  readonly self: () => string
  readonly inbox: Pick<Inbox, "append">
}

/**
 * Logs a GUARD line and appends it to the inbox.
 * @param msgId - a line with the same id that comes again after a crash is appended once
 */
export function reportGuard(
  { log, inbox }: GuardContext,
  line: Readonly<Record<string, unknown>>,
  msgId?: string,
): void {
  log(`guard: ${[line["layer"], line["state"], line["scope"], line["reason"]].join(" ")}`)
  inbox.append({ type: "GUARD", ...line }, { msgId })
}

interface KnownStop {
  readonly stop: GuardStop
  /** Time until which the same stop is not reported again. */
  readonly quietUntil: number
  /** True once a message of the agent passed: the stop is no longer in force. */
  readonly isOver: boolean
}

/**
 * The stops that affect the agent of a daemon, kept over restarts until they are lifted. Each stop causes one inbox
 * line, not one per refused line: an agent that answers every line would never stop.
 */
export class ActiveStops {
  readonly #context: GuardContext
  readonly #stops = new LruMap<string, KnownStop>(maxStops)
  #serverId: string | undefined
  #warnedMs = Number.NEGATIVE_INFINITY

  constructor(context: GuardContext) {
    this.#context = context
    const { serverId, stops } = parseStops(context.memory.state.stops)
    this.#serverId = serverId
    for (const [key, known] of stops) this.#stops.set(key, known)
  }

  /** The stops in force, oldest first. */
  get list(): readonly GuardStop[] {
    const now = this.#context.clock.now()
    const active: GuardStop[] = []
    for (const [key, { stop, quietUntil, isOver }] of this.#stops) {
      const isEnded = isOver || (stop.until ?? Number.POSITIVE_INFINITY) <= now
      if (!isEnded) active.push(stop)
      else if (quietUntil <= now) this.#stops.delete(key)
    }
    return active.slice(-shownStops)
  }

  /** Starts a session. Another relay has stopped nothing yet, and neither has a relay that lost its state. */
  onConnected(serverId: string): void {
    if (this.#serverId !== undefined && this.#serverId !== serverId) {
      for (const [key, { stop }] of this.#stops) if (stop.layer !== daemonLayer) this.#stops.delete(key)
    }
    this.#serverId = serverId
    this.#save()
  }

  onGuard(message: ServerMessage<"GUARD">): void {
    if (message.layer === daemonLayer) return
    const facts = quoteGuard(message)
    const { state, retry_after_ms: retryAfterMs, ts } = message
    const reason = message.reason.slice(0, reasonLength)
    const mustReport = {
      warned: () => this.#isNewWarning(facts),
      tripped: () => this.#isNewStop(facts, reason, retryAfterMs),
      lifted: () => this.lift(facts),
    }
    if (!mustReport[state]()) return
    const hint = state === "tripped" ? `${hints[facts.lifted_by]}; ${heldHint}` : hints[state]
    reportGuard(this.#context, { state, ...facts, reason, retry_after_ms: retryAfterMs, hint, ts })
  }

  /** Handles a line that a guard refused and that is held in rejected.jsonl. */
  onRefused({ at, id, sha256 }: RefusedLine, error: ChatError): void {
    const { guard, message, retryAfterMs, hint: given } = error
    if (guard === undefined || !this.stop(guard, message, retryAfterMs)) return
    const hint = `${given ?? hints[guard.lifted_by]}; ${heldHint}`
    const facts = { ...guard, reason: message, retry_after_ms: retryAfterMs, id, line_sha256: sha256, hint }
    const ts = this.#context.clock.now()
    reportGuard(this.#context, { state: "tripped", ...facts, ts, msg_id: at }, at)
  }

  /**
   * Handles an accepted message, which ends the stops that would have refused it. They are reported again only when
   * the relay sends them again or their time is over.
   * @param addressee - `#channel`, `+role` or agent id
   */
  onMessageAccepted(self: string, addressee: string, kind: string | undefined): void {
    if (kind === exemptKind) return
    const names = new Set([self, addressee, "in"])
    for (const [key, known] of this.#stops) {
      const { layer, scope } = known.stop
      if (known.isOver || layer === daemonLayer || !scope.split(" ").every((name) => names.has(name)))
        continue
      this.#stops.set(key, { ...known, isOver: true })
      this.#save()
    }
  }

  /**
   * Adds a stop.
   * @param retryAfterMs - undefined if it does not end by time
   * @returns whether to report it
   */
  stop(facts: GuardFacts, reason: string, retryAfterMs: number | undefined): boolean {
    const key = keyOf(facts)
    const now = this.#context.clock.now()
    const before = this.#stops.peek(key)
    const isNew = before === undefined || before.quietUntil <= now
    const until = retryAfterMs === undefined ? undefined : now + retryAfterMs
    const since = isNew ? now : before.stop.since
    const { layer, scope, lifted_by } = facts
    const stop = { layer, scope, lifted_by, reason, since, ...(until === undefined ? {} : { until }) }
    const newQuiet = until === undefined ? now + reportAgainMs : Math.max(until, now + leastQuietMs)
    this.#stops.set(key, { stop, quietUntil: isNew ? newQuiet : before.quietUntil, isOver: false })
    this.#save()
    return isNew
  }

  /** Removes a stop. @returns whether it was in force */
  lift(facts: Pick<GuardFacts, "layer" | "scope">): boolean {
    const key = keyOf(facts)
    const before = this.#stops.peek(key)
    this.#stops.delete(key)
    this.#save()
    return before?.isOver === false
  }

  /** Several rules warn of the same conversation; one line is enough. */
  #isNewWarning({ scope }: GuardFacts): boolean {
    const now = this.#context.clock.now()
    const isMine = stoppedBy(scope).some((name) => name.startsWith("#") || name === this.#context.self())
    if (!isMine || now < this.#warnedMs + warnAgainMs) return false
    this.#warnedMs = now
    return true
  }

  /**
   * A channel is stopped only for the agents that keep its conversation going. A refused line shows that this agent
   * is one of them, and the stop is reported then.
   */
  #isNewStop(facts: GuardFacts, reason: string, retryAfterMs: number | undefined): boolean {
    const key = keyOf(facts)
    if (this.#stops.peek(key)?.isOver === true) this.#stops.delete(key)
    return stoppedBy(facts.scope).includes(this.#context.self()) && this.stop(facts, reason, retryAfterMs)
  }

  /** Saves the stops of the relay; the circuit breaker saves its own state. */
  #save(): void {
    const stops = [...this.#stops].filter(([, { stop }]) => stop.layer !== daemonLayer)
    this.#context.memory.note({ stops: { server_id: this.#serverId, stops } })
  }
}

function parseStops(found: unknown): { serverId: string | undefined; stops: [string, KnownStop][] } {
  const { server_id: serverId, stops } = isPlain(found) ? found : {}
  if (typeof serverId !== "string" || !Array.isArray(stops)) return { serverId: undefined, stops: [] }
  const known = stops.flatMap((entry): [string, KnownStop][] => {
    const [key, value] = Array.isArray(entry) ? (entry as unknown[]) : []
    return typeof key === "string" && isKnownStop(value) ? [[key, value]] : []
  })
  return { serverId, stops: known }
}

function isKnownStop(value: unknown): value is KnownStop {
  if (!isPlain(value) || !isPlain(value["stop"])) return false
  const { layer, scope, lifted_by, reason, since, until } = value["stop"]
  return (
    [layer, scope, lifted_by, reason].every((text) => typeof text === "string") &&
    isNumber(since) &&
    (until === undefined || isNumber(until)) &&
    isNumber(value["quietUntil"]) &&
    typeof value["isOver"] === "boolean"
  )
}

function keyOf({ layer, scope }: Pick<GuardFacts, "layer" | "scope">): string {
  return layer === daemonLayer && scope !== outboxScope ? layer : `${layer} ${scope}`
}
