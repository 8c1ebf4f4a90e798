import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { isNumber, isPlain } from "../../base/plain.js"
import { quoteGuard } from "../../client/relay-error.js"
import type { ChatError } from "../../protocol/errors.js"
import { daemonLayer, type GuardFacts } from "../../protocol/guard-facts.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import type { GuardStop } from "../status.js"

/** Stops that are remembered: each is told once, however many lines it refuses. */
const mostStops = 100
/** What the status tells of them. */
const shownStops = 20
/** Milliseconds after which one that nobody lifted is told again. */
const tellAgainMs = 3_600_000
/** Milliseconds in which what is over at once is not told twice: the relay tells of it beside its answer. */
const leastQuietMs = 5_000
/** Milliseconds after a warning in which no other is told. */
const warnAgainMs = 60_000
const reasonLength = 300

/** Refuses an answer for what it answers: whatever else is said may pass. */
const passingLayer = "kind"
/** Passes where other kinds are stopped. */
const exemptKind = "status"

/** Where refused lines are. */
const whereKept = "what is refused is kept: agentchat guard"
/** What an agent can do about what it is told. */
const hints = {
  warned:
    "what you go on to say here will be refused before long: finish something, and then say once what came of it",
  lifted: "go on; what was kept meanwhile: agentchat guard release --all, or with --drop",
  time: "do not send it again before; go on with your work",
  progress:
    "do not send it again; finish work (a task done, a proposal completed), or ask your user for an operator",
  operator: "stop, do not answer; an operator of the relay lifts it",
} as const

type Line = Readonly<Record<string, unknown>> & { readonly type: string }

/** What the daemon's own guard stops beside its agent: that lines which are refused are told of. */
export const outboxScope = "outbox"

/** What a daemon needs to know of a line that was refused. */
export interface RefusedLine {
  readonly at: string
  readonly id: string
  readonly sha256: string
}

interface Kept {
  readonly stop: GuardStop
  /** Until when the same is not told again. */
  readonly quietUntil: number
  /** The agent could speak there since. */
  readonly isOver: boolean
}

/** What these stops need of their daemon. */
interface StopPorts {
  readonly clock: Clock
  readonly memory: DaemonMemory
  /** Own agent id. */
  readonly self: () => string
  /** Puts a line into the inbox. */
  readonly tell: (line: Line, msgId?: string) => void
}

/**
 * What guards have stopped, and has not been lifted; it outlasts a restart. An agent that answers every line of its inbox
 * would be kept going by the lines that tell it to stop: so each stop is one line, not one for every line it refuses.
 */
export class ActiveStops {
  readonly #ports: StopPorts
  readonly #stops = new LruMap<string, Kept>(mostStops)
  #serverId: string | undefined
  #warnedMs = -Infinity

  constructor(ports: StopPorts) {
    this.#ports = ports
    const { serverId, stops } = parseStops(ports.memory.state.stops)
    this.#serverId = serverId
    for (const [key, kept] of stops) this.#stops.set(key, kept)
  }

  /** What stands now, oldest first. */
  get list(): readonly GuardStop[] {
    const now = this.#ports.clock.now()
    const standing: GuardStop[] = []
    for (const [key, { stop, quietUntil, isOver }] of this.#stops) {
      const isEnded = isOver || (stop.until ?? Infinity) <= now
      if (!isEnded) standing.push(stop)
      else if (quietUntil <= now) this.#stops.delete(key)
    }
    return standing.slice(-shownStops)
  }

  /** A session began: another relay, or one that forgot everything, has stopped nothing yet. */
  attach(serverId: string): void {
    if (this.#serverId !== undefined && this.#serverId !== serverId) {
      for (const [key, { stop }] of this.#stops) if (stop.layer !== daemonLayer) this.#stops.delete(key)
    }
    this.#serverId = serverId
    this.#keep()
  }

  /** The relay tells of a guard. */
  heard(message: ServerMessage<"GUARD">): void {
    if (message.layer === daemonLayer) return
    const facts = quoteGuard(message)
    const { state, retry_after_ms: retryAfterMs, ts } = message
    const reason = message.reason.slice(0, reasonLength)
    const hint = state === "tripped" ? `${hints[facts.lifted_by]}; ${whereKept}` : hints[state]
    const line = { type: "GUARD", state, ...facts, reason, ...wait(retryAfterMs), hint, ts }
    const isNews = {
      warned: () => this.#isWarned(facts),
      tripped: () => this.#isStopped(facts, reason, retryAfterMs),
      lifted: () => this.lift(facts),
    }
    if (isNews[state]()) this.#ports.tell(line)
  }

  /** Several guards come to warn of the same talk: one line is enough of them. */
  #isWarned({ scope }: GuardFacts): boolean {
    const now = this.#ports.clock.now()
    const isMine = subjectsOf(scope).some((name) => name.startsWith("#") || name === this.#ports.self())
    if (!isMine || now < this.#warnedMs + warnAgainMs) return false
    this.#warnedMs = now
    return true
  }

  /**
   * A room is stopped for those who keep its talk going. Whether this agent is one of them shows when a line of it is
   * refused, and is told then.
   */
  #isStopped(facts: GuardFacts, reason: string, retryAfterMs: number | undefined): boolean {
    const key = keyOf(facts)
    if (this.#stops.peek(key)?.isOver === true) this.#stops.delete(key)
    return subjectsOf(facts.scope).includes(this.#ports.self()) && this.stop(facts, reason, retryAfterMs)
  }

  /** A line was refused; it is kept in rejected.jsonl. */
  refused({ at, id, sha256 }: RefusedLine, { guard, message, retryAfterMs, hint: next }: ChatError): void {
    if (guard === undefined || !this.stop(guard, message, retryAfterMs)) return
    const hint = `${next ?? hints[guard.lifted_by]}; ${whereKept}`
    const facts = { ...guard, reason: message, ...wait(retryAfterMs), id, line_sha256: sha256, hint }
    const ts = this.#ports.clock.now()
    this.#ports.tell({ type: "GUARD", state: "tripped", ...facts, ts, msg_id: at }, at)
  }

  /**
   * Notes a stop.
   * @param retryAfterMs - undefined: somebody has to lift it
   * @returns whether it is news
   */
  stop(facts: GuardFacts, reason: string, retryAfterMs: number | undefined): boolean {
    const key = keyOf(facts)
    const now = this.#ports.clock.now()
    const before = this.#stops.peek(key)
    const isNews = before === undefined || before.quietUntil <= now
    const until = retryAfterMs === undefined ? undefined : now + retryAfterMs
    const since = isNews ? now : before.stop.since
    const { layer, scope, lifted_by } = facts
    const stop = { layer, scope, lifted_by, reason, since, ...(until === undefined ? {} : { until }) }
    const newQuiet = until === undefined ? now + tellAgainMs : Math.max(until, now + leastQuietMs)
    this.#stops.set(key, {
      stop,
      quietUntil: isNews ? newQuiet : before.quietUntil,
      isOver: layer === passingLayer,
    })
    this.#keep()
    return isNews
  }

  /** It may go on. @returns whether it was stopped */
  lift(facts: Pick<GuardFacts, "layer" | "scope">): boolean {
    const key = keyOf(facts)
    const before = this.#stops.peek(key)
    this.#stops.delete(key)
    this.#keep()
    return before?.isOver === false
  }

  /**
   * A message was taken: what would have stopped it is over. It is told again only when the relay tells of it anew, or
   * when its time is over.
   * @param addressee - `#channel`, `+role` or agent id
   */
  spoke(self: string, addressee: string, kind: string | undefined): void {
    if (kind === exemptKind) return
    const names = new Set([self, addressee, "in"])
    for (const [key, kept] of this.#stops) {
      const { layer, scope } = kept.stop
      if (kept.isOver || layer === daemonLayer || !scope.split(" ").every((name) => names.has(name))) continue
      this.#stops.set(key, { ...kept, isOver: true })
      this.#keep()
    }
  }

  /** The daemon's own guard keeps its state itself. */
  #keep(): void {
    const stops = [...this.#stops].filter(([, { stop }]) => stop.layer !== daemonLayer)
    this.#ports.memory.note({ stops: { server_id: this.#serverId, stops } })
  }
}

function parseStops(found: unknown): { serverId: string | undefined; stops: [string, Kept][] } {
  const { server_id: serverId, stops } = isPlain(found) ? found : {}
  if (typeof serverId !== "string" || !Array.isArray(stops)) return { serverId: undefined, stops: [] }
  const kept = stops.flatMap((entry): [string, Kept][] => {
    const [key, value] = Array.isArray(entry) ? (entry as unknown[]) : []
    return typeof key === "string" && isKept(value) ? [[key, value]] : []
  })
  return { serverId, stops: kept.slice(-mostStops) }
}

function isKept(value: unknown): value is Kept {
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

/** Whom a guard stops: of `@a in #room` and `@a to @b` it is `@a`, of `@a @b` both. */
function subjectsOf(scope: string): string[] {
  return (scope.split(/ (?:in|to) /, 1)[0] ?? "").split(" ")
}

function keyOf({ layer, scope }: Pick<GuardFacts, "layer" | "scope">): string {
  return layer === daemonLayer && scope !== outboxScope ? layer : `${layer} ${scope}`
}

function wait(retryAfterMs: number | undefined): { retry_after_ms?: number } {
  return retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
}
