import { LruMap } from "../../base/lru-map.js"
import { isNumber, isPlain, isStrings } from "../../base/plain.js"
import {
  type GuardMessage,
  pushEvidence,
  type RuleName,
  type Trip,
  type Usage,
  type Warning,
} from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, readEntries } from "../saved.js"
import { isUnder } from "../scopes.js"
import { Stops } from "../stops.js"

/** The part of a rule that does not depend on what it counts. Callers pass the time; a rule has no timers. */
export interface RuleState {
  readonly name: RuleName
  /** These agents finished work. */
  refill?(agents: readonly string[], ts: number): void
  /** Lifts what was stopped under a scope and forgets what was counted there; undefined: everything. */
  reset(scope: string | undefined): void
  /** Returns what was counted of an agent. */
  usage(agent: string, ts: number): Usage[]
  /** Returns the state as JSON of bounded length. */
  save(): string
  /** Restores what {@link save} gave, as parsed JSON; ignores anything else. */
  load(state: unknown): void
}

/** A rule for messages. A call of `note` or `refuse` follows a call of `check` with the same message. */
export interface MessageRule extends RuleState {
  /** Returns the reason to refuse a message; changes no count. */
  check(message: GuardMessage): Trip | undefined
  /** Counts an accepted message. Returns a warning if this message makes it due. */
  note(message: GuardMessage): Warning | undefined
  /** The message was refused for `trip`, which this rule gave. */
  refuse(message: GuardMessage, trip: Trip): void
  /** An operator spoke in a channel. */
  operatorSpoke?(channel: string): void
}

/** The count of one scope, and the cost a message would add. */
export interface Count {
  readonly scope: string
  /** Before the message. */
  readonly used: number
  /** 0: the message adds nothing, and is refused only while the scope is stopped. */
  readonly cost: number
  readonly limit: number
  readonly evidence: readonly string[]
  /** The cause of the stop is gone. */
  readonly isLifted?: boolean
}

export const noCounts: readonly Count[] = []

/** Fractions lost while a count drains. */
const rounding = 1e-6

/** A rule that counts by scope, and stops a scope for a while when its count is over the limit. */
export abstract class StoppingRule implements MessageRule {
  abstract readonly name: RuleName
  protected abstract readonly liftedBy: Trip["liftedBy"]
  /** Share of the limit at which the rule warns. */
  protected readonly warnShare: number = 0.5
  protected readonly limits: GuardLimits
  protected readonly stops: Stops
  #counts = noCounts

  constructor(limits: GuardLimits, firstPauseMs?: number) {
    this.limits = limits
    this.stops = new Stops(limits, firstPauseMs)
  }

  check(message: GuardMessage): Trip | undefined {
    this.#counts = this.count(message)
    for (const count of this.#counts) {
      const { scope, isLifted = false, evidence } = count
      const leftMs = isLifted ? 0 : this.stops.leftMs(scope, message.ts)
      // One message passes after each pause, whatever was counted.
      if (leftMs === 0 && (!isOver(count) || this.stops.isRemembered(scope, message.ts))) continue
      return {
        layer: this.name,
        scope,
        reason: this.reasonFor(count),
        retryAfterMs: leftMs > 0 ? leftMs : this.stops.nextMs(scope, message.ts),
        liftedBy: this.liftedBy,
        evidence: evidence.slice(),
      }
    }
    return undefined
  }

  note(message: GuardMessage): Warning | undefined {
    let warning: Warning | undefined
    for (const { scope, used, cost, limit, isLifted } of this.#counts) {
      if (isLifted === true) this.stops.lift(scope)
      if (this.stops.isRemembered(scope, message.ts)) this.stops.stop(scope, message.ts)
      const warnAt = limit * this.warnShare
      if (used < warnAt && used + cost >= warnAt)
        warning = { layer: this.name, scope, reason: `${Math.round(used + cost)} of ${limit} are used` }
    }
    this.take(message)
    return warning
  }

  refuse({ ts }: GuardMessage, { scope }: Trip): void {
    this.stops.stop(scope, ts)
    // Stops whatever else is over its limit at the same time, so that the pauses end together.
    for (const count of this.#counts) if (isOver(count)) this.stops.stop(count.scope, ts)
  }

  reset(scope: string | undefined): void {
    this.stops.reset(scope)
    this.forget(scope)
  }

  usage(agent: string, ts: number): Usage[] {
    const stopped = this.stops.list(agent, ts)
    const isStopped = (scope: string) => stopped.some((stop) => stop.scope === scope)
    const used = this.usedBy(agent, ts).filter(({ scope }) => !isStopped(scope))
    return [
      ...stopped.map(({ scope, leftMs }) => ({
        ...{ layer: this.name, scope, used: 1, limit: 1, freeInMs: leftMs, isTripped: true },
      })),
      ...used.map((usage) => ({ layer: this.name, isTripped: false, ...usage })),
    ]
  }

  abstract save(): string
  abstract load(state: unknown): void

  /** Reports whether a count is far from a warning and its scope was not stopped. */
  protected isQuiet(scope: string, used: number, limit: number): boolean {
    return used < limit * this.warnShare && (this.stops.isEmpty || !this.stops.has(scope))
  }

  /** Returns a count for each scope of a message; quiet ones may be left out. */
  protected abstract count(message: GuardMessage): readonly Count[]
  /** Counts an accepted message. */
  protected abstract take(message: GuardMessage): void
  /** One sentence for the author of a message that is refused. */
  protected abstract reasonFor(count: Count): string
  protected abstract usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[]
  /** Forgets what was counted under a scope. */
  protected abstract forget(scope: string | undefined): void
}

function isOver({ used, cost, limit }: Count): boolean {
  return cost > 0 && used + cost > limit + rounding
}

/** A count that begins anew some time after its first message. */
export interface Window {
  /** Time of the first message. */
  readonly since: number
  used: number
  /** Time and author of the last message. */
  last: number
  by: string
  readonly ids: string[]
}

/** A rule that counts in windows of fixed length. */
export abstract class WindowRule extends StoppingRule {
  protected readonly windows: LruMap<string, Window>
  readonly #windowMs: number
  readonly #limit: number

  constructor(limits: GuardLimits, limit: number, windowMs: number, firstPauseMs?: number) {
    super(limits, firstPauseMs)
    this.#limit = limit
    this.#windowMs = windowMs
    this.windows = new LruMap(windowsKept)
  }

  save(): string {
    return `{"stops":${this.stops.save()},"windows":${saveWindows(this.windows)}}`
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.stops.load(state["stops"])
    loadWindows(this.windows, state["windows"])
  }

  /** Returns the count of a scope; undefined if it is quiet. */
  protected countOf(scope: string, cost: number, ts: number): Count | undefined {
    const used = this.usedIn(scope, ts)
    if (this.isQuiet(scope, used + cost, this.#limit)) return undefined
    return { scope, used, cost, limit: this.#limit, evidence: this.windows.peek(scope)?.ids ?? [] }
  }

  protected usedIn(scope: string, ts: number): number {
    return usedIn(this.windows.peek(scope), ts, this.#windowMs)
  }

  /** Adds a message to the window of a scope. */
  protected add(scope: string, cost: number, message: GuardMessage): void {
    addTo(this.windows, scope, cost, message, this.#windowMs)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return [...this.windows]
      .map(([scope, { since }]) => {
        const used = Math.ceil(this.usedIn(scope, ts))
        return { scope, used, limit: this.#limit, freeInMs: since + this.#windowMs - ts }
      })
      .filter(({ scope, used }) => used > 0 && isUnder(scope, agent))
  }

  protected forget(scope: string | undefined): void {
    deleteWhere(this.windows, (key) => isUnder(key, scope))
  }
}

const windowsKept = 4_096
const windowCharacters = 35_000

export function usedIn(window: Window | undefined, ts: number, windowMs: number): number {
  return window === undefined || ts - window.since >= windowMs ? 0 : window.used
}

/** Adds to the window of a scope; begins another one where that is over. */
export function addTo(
  windows: LruMap<string, Window>,
  scope: string,
  cost: number,
  { id, ts, from }: Pick<GuardMessage, "id" | "ts" | "from">,
  windowMs: number,
): void {
  const known = windows.get(scope)
  const isOpen = known !== undefined && ts - known.since < windowMs
  const window = isOpen ? known : { since: ts, used: 0, last: ts, by: from, ids: [] }
  window.used += cost
  window.last = ts
  window.by = from
  if (cost > 0) pushEvidence(window.ids, id)
  if (!isOpen) windows.set(scope, window)
}

export function saveWindows(windows: LruMap<string, Window>): string {
  return formatEntries(windows, windowCharacters)
}

export function loadWindows(windows: LruMap<string, Window>, state: unknown): void {
  readEntries(windows, state, (value) => (isWindow(value) ? value : undefined))
}

function isWindow(value: unknown): value is Window {
  if (!isPlain(value)) return false
  const { since, used, last, by, ids } = value
  return [since, used, last].every(isNumber) && typeof by === "string" && isStrings(ids)
}
