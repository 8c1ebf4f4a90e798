import { isNumber, isPlain } from "../../base/plain.js"
import { Cooldowns } from "../cooldowns.js"
import { DailyTurns } from "../daily-turns.js"
import type { Rule, Trip, Usage, Warning } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { isUnder } from "../scopes.js"
import { pausesOf } from "./stopping-rule.js"

/** A step of a deal, as far as it is counted. Agents are their ids, with `@`. */
export interface DealStep {
  /** `msg_id`. */
  readonly id: string
  readonly verb: "PROPOSAL" | "REJECT" | "COMPLETE"
  /** Id of the proposal. */
  readonly deal: string
  readonly from: string
  readonly to: string
}

/** Parts of the window that are counted apart. */
const partsOfWindow = 24
/** Steps that are remembered: more than one relay may tell of each. */
const stepsKept = 2_048

/**
 * Deals of two agents that come to nothing: each proposal is a turn of its author towards the other, and so is each that
 * is rejected. One whose deal is completed was none. Who took less of the turns than the other is not stopped. Messages
 * are nothing to it, and of the steps of deals it refuses proposals alone.
 */
export class DealsRule implements Rule {
  readonly name = "deals"
  readonly #limits: GuardLimits
  readonly #stops: Cooldowns
  /** By `@a to @b`. */
  readonly #days = new SavedMap<DailyTurns>(4_096, 60_000)
  /** By deal and verb. */
  readonly #steps = new SavedMap<1>(stepsKept, 20_000)

  #lastTs = 0

  constructor(limits: GuardLimits) {
    this.#limits = limits
    this.#stops = new Cooldowns(pausesOf(limits))
  }

  /** When the last step was counted; 0: none was. */
  get lastTs(): number {
    return this.#lastTs
  }

  check(): undefined {
    return undefined
  }

  note(): undefined {
    return undefined
  }

  /** Why a proposal of one agent to another is to be refused; changes nothing. */
  checkProposal({ from, to }: Pick<DealStep, "from" | "to">, ts: number): Trip | undefined {
    const scope = scopeOf(from, to)
    const used = this.#usedBetween(from, to, ts)
    const leftMs = this.#stops.leftMs(scope, ts)
    // After a pause one passes, whatever has been counted.
    if (leftMs === 0 && (!this.#isOver(from, to, ts) || this.#stops.isRemembered(scope, ts))) return undefined
    return {
      layer: this.name,
      scope,
      reason: `${Math.round(used)} turns in a day of proposals between you two that came to nothing: finish a deal, or settle first what the next one is to be`,
      retryAfterMs: leftMs > 0 ? leftMs : this.#stops.nextMs(scope, ts),
      liftedBy: "progress",
      evidence: this.#days.get(scope)?.ids ?? [],
    }
  }

  /** Whether a step, or the same of the other party, was counted. */
  knows({ deal, verb }: Pick<DealStep, "deal" | "verb">): boolean {
    return this.#steps.get(keyOf(deal, verb)) !== undefined
  }

  /** A proposal was refused, and its author is told so. */
  refuseProposal({ from, to }: Pick<DealStep, "from" | "to">, ts: number): void {
    this.#stops.stop(scopeOf(from, to), ts)
    // The other is next, and the pauses of both end together.
    if (this.#isOver(to, from, ts)) this.#stops.stop(scopeOf(to, from), ts)
  }

  /** Counts a step that was taken, once. Gives a warning when it is the one that makes it necessary. */
  noteStep({ id, verb, deal, from, to }: DealStep, ts: number): Warning | undefined {
    if (this.knows({ verb, deal })) return undefined
    this.#steps.set(keyOf(deal, verb), 1)
    this.#lastTs = ts
    if (verb === "COMPLETE") {
      this.#takeBack(from, to, ts)
      return undefined
    }
    const [author, other] = verb === "PROPOSAL" ? [from, to] : [to, from]
    const scope = scopeOf(author, other)
    if (verb === "PROPOSAL") this.#stopAgain([scope, scopeOf(other, author)], ts)
    const day = this.#days.get(scope) ?? new DailyTurns()
    day.add(id, { oldest: this.#oldestPart(ts), part: this.#partOf(ts) })
    this.#days.set(scope, day)
    const used = this.#usedBetween(author, other, ts)
    const warnAt = this.#limits.dealTurns / 2
    if (used < warnAt || used - 1 >= warnAt) return undefined
    return { layer: this.name, scope, reason: `${Math.round(used)} of ${this.#limits.dealTurns} are used` }
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) this.reset(agent)
  }

  reset(scope: string | undefined): void {
    this.#stops.reset(scope)
    for (const [key] of this.#days.entries()) if (isUnder(key, scope)) this.#days.delete(key)
  }

  usage(agent: string, ts: number): Usage[] {
    return this.#days
      .entries()
      .map(([scope]) => scope)
      .filter((scope) => isUnder(scope, agent) && this.#turnsOf(scope, ts) > 0)
      .map((scope) => {
        const [author = "", , other = ""] = scope.split(" ")
        const leftMs = this.#stops.leftMs(scope, ts)
        const freeInMs = leftMs > 0 ? leftMs : this.#limits.slowWindowMs / partsOfWindow
        const used = this.#usedBetween(author, other, ts)
        const limit = this.#limits.dealTurns
        return { layer: this.name, scope, used, limit, freeInMs, isTripped: leftMs > 0 }
      })
  }

  prepare(): boolean {
    return this.#days.prepare()
  }

  save(): unknown {
    return { ts: this.#lastTs, stops: this.#stops.save(), days: this.#days.save(), steps: this.#steps.save() }
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#lastTs = isNumber(state["ts"]) ? state["ts"] : 0
    this.#stops.load(state["stops"])
    this.#days.read(state["days"], (value) => DailyTurns.load(value))
    this.#steps.load(state["steps"], (value): value is 1 => value === 1)
  }

  #stopAgain(scopes: readonly string[], ts: number): void {
    for (const scope of scopes) if (this.#stops.isRemembered(scope, ts)) this.#stops.stop(scope, ts)
  }

  /** The proposal of a deal that is completed was no turn; whose it was is not told, and the sum is what counts. */
  #takeBack(one: string, other: string, ts: number): void {
    const scopes = [scopeOf(one, other), scopeOf(other, one)] as const
    const [first, second] = [this.#turnsOf(scopes[0], ts), this.#turnsOf(scopes[1], ts)]
    const scope = first >= second ? scopes[0] : scopes[1]
    const day = this.#days.get(scope)
    if (day === undefined) return
    day.takeBack()
    this.#days.set(scope, day)
  }

  #isOver(from: string, to: string, ts: number): boolean {
    const used = this.#usedBetween(from, to, ts)
    return used + 1 > this.#limits.dealTurns && this.#turnsOf(scopeOf(from, to), ts) >= used / 2
  }

  #usedBetween(one: string, other: string, ts: number): number {
    return this.#turnsOf(scopeOf(one, other), ts) + this.#turnsOf(scopeOf(other, one), ts)
  }

  #turnsOf(scope: string, ts: number): number {
    return this.#days.get(scope)?.turnsSince(this.#oldestPart(ts)) ?? 0
  }

  #partOf(ts: number): number {
    return Math.floor((ts / this.#limits.slowWindowMs) * partsOfWindow)
  }

  /** The first part of the window that ends at `ts`. */
  #oldestPart(ts: number): number {
    return this.#partOf(ts) - partsOfWindow + 1
  }
}

function keyOf(deal: string, verb: string): string {
  return `${deal} ${verb}`
}

/** One agent towards another, as it is told. */
function scopeOf(from: string, to: string): string {
  return `${from} to ${to}`
}
