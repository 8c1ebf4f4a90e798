import { isPlain } from "../../base/plain.js"
import { Cooldowns, type Pauses } from "../cooldowns.js"
import type { Rule, RuleName, Traced, Trip, Usage, Warning } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { isUnder } from "../scopes.js"

/** What a message would be counted as. */
export interface Count {
  /** Who or what would be stopped. */
  readonly scope: string
  /** Before the message. */
  readonly used: number
  /** What it adds; 0: it is refused if the scope is stopped, and counts for nothing. */
  readonly cost: number
  readonly limit: number
  /** One sentence: what was found, and what to do instead. Asked for only when it is told. */
  readonly reason: string | (() => string)
  /** The messages counted, newest last. */
  readonly evidence: readonly string[] | (() => readonly string[])
  /** What the scope was stopped for is over. */
  readonly isLifted?: boolean
}

/** Of what does not count. */
export const nothingCounted: readonly Count[] = []

/** Messages that are named as having led to a stop. */
const evidenceLength = 10

/** The pauses of layers that have none of their own. */
export function pausesOf(limits: GuardLimits): Pauses {
  return { firstMs: limits.stopMs, maxMs: limits.stopMaxMs, forgetMs: limits.stopForgetMs }
}

/** The newest of the messages that are counted, and one more. */
export function withEvidence(ids: readonly string[], id: string): string[] {
  return [...(ids.length < evidenceLength ? ids : ids.slice(1 - evidenceLength)), id]
}

/** A layer that counts, and stops a scope for a while when the count is over its limit. `V` is kept for each scope. */
export abstract class StoppingRule<V> implements Rule {
  abstract readonly name: RuleName
  protected abstract readonly liftedBy: Trip["liftedBy"]
  /** Share of the limit from which on it warns. */
  protected readonly warnShare: number = 0.5
  protected readonly limits: GuardLimits
  protected readonly stops: Cooldowns
  protected readonly kept: SavedMap<V>
  /** What is counted when a message is asked for is what is counted when it is taken, which is right afterwards. */
  #checked: { readonly said: Traced; readonly counts: readonly Count[]; readonly changes: number } | undefined

  constructor(limits: GuardLimits, pauses: Pauses, kept: SavedMap<V>) {
    this.limits = limits
    this.stops = new Cooldowns(pauses)
    this.kept = kept
  }

  get #changes(): number {
    return this.kept.version + this.stops.version
  }

  check(said: Traced): Trip | undefined {
    const counts = this.count(said)
    this.#checked = { said, counts, changes: this.#changes }
    for (const count of counts) {
      const leftMs = count.isLifted === true ? 0 : this.stops.leftMs(count.scope, said.ts)
      // After a pause one passes, whatever has been counted.
      if (leftMs === 0 && (!isOver(count) || this.stops.isRemembered(count.scope, said.ts))) continue
      return {
        layer: this.name,
        scope: count.scope,
        reason: typeof count.reason === "string" ? count.reason : count.reason(),
        retryAfterMs: leftMs > 0 ? leftMs : this.stops.nextMs(count.scope, said.ts),
        liftedBy: this.liftedBy,
        evidence: (typeof count.evidence === "function" ? count.evidence() : count.evidence).slice(
          -evidenceLength,
        ),
      }
    }
    return undefined
  }

  note(said: Traced): Warning | undefined {
    let warning: Warning | undefined
    const checked = this.#checked
    this.#checked = undefined
    const isFresh = checked?.said === said && checked.changes === this.#changes
    for (const { scope, used, cost, limit, isLifted } of isFresh ? checked.counts : this.count(said)) {
      if (isLifted === true) this.stops.lift(scope)
      if (this.stops.isRemembered(scope, said.ts)) this.stops.stop(scope, said.ts)
      const warnAt = limit * this.warnShare
      if (used < warnAt && used + cost >= warnAt)
        warning = { layer: this.name, scope, reason: `${Math.round(used + cost)} of ${limit} are used` }
    }
    this.take(said)
    return warning
  }

  refuse(said: Traced, trip: Trip): void {
    this.stops.stop(trip.scope, said.ts)
    // Whatever else it is too much for is stopped at the same time, so that the pauses end together.
    for (const count of this.count(said)) if (isOver(count)) this.stops.stop(count.scope, said.ts)
  }

  reset(scope: string | undefined): void {
    this.stops.reset(scope)
    for (const [key] of this.kept.entries()) if (isUnder(key, scope)) this.kept.delete(key)
  }

  usage(agent: string, ts: number): Usage[] {
    const stopped = this.stops.list(agent, ts)
    const used = this.usedBy(agent, ts).filter((usage) => stopped.every(({ scope }) => scope !== usage.scope))
    return [
      ...stopped.map(({ scope, leftMs }) => ({
        layer: this.name,
        scope,
        used: 1,
        limit: 1,
        freeInMs: leftMs,
        isTripped: true,
      })),
      ...used.map((usage) => ({ layer: this.name, isTripped: false, ...usage })),
    ]
  }

  prepare(): boolean {
    return this.kept.prepare()
  }

  save(): unknown {
    return { stops: this.stops.save(), kept: this.kept.save() }
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.stops.load(state["stops"])
    this.kept.read(state["kept"], (value) => this.read(value))
  }

  /** Whether a count has nothing to say: nobody is stopped, and a warning is far. */
  protected isQuiet(used: number, cost: number, limit: number): boolean {
    return this.stops.isEmpty && used + cost < limit * this.warnShare
  }

  /** What the message is counted as, each of its scopes; those that have nothing to say may be left out. */
  protected abstract count(said: Traced): readonly Count[]
  /** Counts it. */
  protected abstract take(said: Traced): void
  protected abstract usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[]
  /** A value as it was saved; undefined: it is none. */
  protected abstract read(value: unknown): V | undefined
}

/** Fractions lost while a count drains. */
const rounding = 1e-6

function isOver({ used, cost, limit }: Count): boolean {
  return cost > 0 && used + cost > limit + rounding
}
