import { LruMap } from "../../base/lru-map.js"
import { type GuardMessage, pushEvidence, type RuleName, type Trip, type Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, loadEntries } from "../saved.js"
import { isUnder } from "../scopes.js"
import type { Stops } from "../stops.js"

/** The count of one scope, and the cost a message would add. */
export interface Count {
  readonly scope: string
  /** Before the message. */
  readonly used: number
  /** 0: the message adds nothing, and is refused only while the scope is stopped. */
  readonly cost: number
  readonly limit: number
  readonly evidence: readonly string[]
  /** The message is refused until so many milliseconds have passed, even if the limit is not reached. */
  readonly dropMs?: number | undefined
  /** The scope to name to the author, if it is another one. */
  readonly shown?: string
}

export const noCounts: readonly Count[] = []

/** A row of {@link Usage}, without what is the same for all rows of a rule. */
export type Used = Omit<Usage, "layer" | "isTripped">

/**
 * A rule counts by scope. `Guard` refuses a message whose count is over its limit, and stops the scope for a while.
 * Callers pass the time; a rule has no timers.
 */
export abstract class Rule {
  abstract readonly name: RuleName
  /** Events other than time that lift a stop and begin a new count. */
  abstract readonly liftedBy: Trip["liftedBy"]
  /** Share of the limit at which the rule warns. */
  readonly warnShare: number = 0.5
  /** Length of the first pause, if it is not `stopMs`. */
  readonly firstPauseMs: number | undefined = undefined
  protected readonly limits: GuardLimits
  protected readonly stops: Stops

  constructor(limits: GuardLimits, stops: Stops) {
    this.limits = limits
    this.stops = stops
  }

  /** Returns a count for each scope of a message; those far from a warning may be left out. Changes nothing. */
  abstract count(message: GuardMessage): readonly Count[]
  /** Counts an accepted message, for which {@link count} was called last. */
  abstract take(message: GuardMessage): void
  /** One sentence for the author of a message that is refused. */
  abstract reasonFor(count: Pick<Count, "scope" | "used" | "limit">): string
  /** Returns what was counted of an agent. */
  abstract usedBy(agent: string, ts: number): Used[]
  /** Forgets what was counted under a scope; undefined: everything. */
  abstract forget(scope: string | undefined): void
  /** Returns the counts as JSON of bounded length. */
  abstract save(): string
  /** Restores what {@link save} gave, as parsed JSON. */
  abstract load(state: unknown): void

  /** These agents finished work; without this method their stops are lifted and their counts begin anew. */
  refill?(agents: readonly string[], ts: number): void
  /** The message counted last was refused for its `dropMs`. */
  dropped?(ts: number): void

  /** Reports whether a count is far from a warning and its scope was not stopped. */
  protected isQuiet(scope: string, used: number, limit: number, ts: number): boolean {
    return used < limit * this.warnShare && this.stops.find(this.name, scope, ts) === undefined
  }
}

/** A count that begins anew some time after its first message. */
interface Window {
  /** Time of the first message. */
  readonly since: number
  used: number
  /** Time and author of the last message. */
  last: number
  by: string
  readonly ids: string[]
}

const windowsKept = 4_096
const windowCharacters = 35_000

/** A rule that counts in windows of fixed length. */
export abstract class WindowRule extends Rule {
  protected readonly windows = new LruMap<string, Window>(windowsKept)
  protected abstract readonly limit: number
  protected abstract readonly windowMs: number

  save(): string {
    return formatEntries(this.windows, windowCharacters)
  }

  load(state: unknown): void {
    loadEntries(this.windows, state)
  }

  usedBy(agent: string, ts: number): Used[] {
    return [...this.windows]
      .map(([scope, { since }]) => {
        const used = Math.ceil(this.usedIn(scope, ts))
        return { scope, used, limit: this.limit, freeInMs: since + this.windowMs - ts }
      })
      .filter(({ scope, used }) => used > 0 && isUnder(scope, agent))
  }

  forget(scope: string | undefined): void {
    deleteWhere(this.windows, (key) => isUnder(key, scope))
  }

  /** Returns the count of a scope; undefined if it is far from a warning. */
  protected countOf(scope: string, cost: number, ts: number): Count | undefined {
    const used = this.usedIn(scope, ts)
    if (this.isQuiet(scope, used + cost, this.limit, ts)) return undefined
    return { scope, used, cost, limit: this.limit, evidence: this.windows.peek(scope)?.ids ?? [] }
  }

  protected usedIn(scope: string, ts: number): number {
    const window = this.windows.peek(scope)
    return window === undefined || ts - window.since >= this.windowMs ? 0 : window.used
  }

  /** Adds a message to the window of a scope; begins another one where that is over. */
  protected add(
    scope: string,
    cost: number,
    { id, ts, from }: Pick<GuardMessage, "id" | "ts" | "from">,
  ): void {
    const known = this.windows.get(scope)
    const isOpen = known !== undefined && ts - known.since < this.windowMs
    const window = isOpen ? known : { since: ts, used: 0, last: ts, by: from, ids: [] }
    window.used += cost
    window.last = ts
    window.by = from
    if (cost > 0) pushEvidence(window.ids, id)
    if (!isOpen) this.windows.set(scope, window)
  }
}
