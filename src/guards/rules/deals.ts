import { LruMap } from "../../base/lru-map.js"
import { isNumber, isPlain } from "../../base/plain.js"
import type { Trip, Usage, Warning } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, readEntries } from "../saved.js"
import { isUnder, towards } from "../scopes.js"
import { Stops } from "../stops.js"
import { addTo, loadWindows, type RuleState, saveWindows, usedIn, type Window } from "./rule.js"

/** A statement of a deal that counts. Agents are ids with `@`. */
export interface DealStep {
  /** `msg_id`. */
  readonly id: string
  readonly verb: "PROPOSAL" | "REJECT" | "COMPLETE"
  /** Id of the proposal. */
  readonly deal: string
  readonly from: string
  readonly to: string
}

type Proposal = Pick<DealStep, "from" | "to">

const pairsKept = 4_096
const stepsKept = 2_048
const savedCharacters = 20_000

/**
 * Refuses a proposal after `dealTurns` proposals between two agents within a day that led to nothing. A rejected proposal
 * counts twice, one whose deal is completed not at all. Only the agent that made half of them or more is stopped, and
 * neither messages nor the other statements of a deal are refused.
 */
export class DealsRule implements RuleState {
  readonly name = "deals"
  readonly #limits: GuardLimits
  readonly #stops: Stops
  /** By `@author to @other`. */
  readonly #turns = new LruMap<string, Window>(pairsKept)
  /** Steps counted, by deal and verb: several relays may report the same one. */
  readonly #steps = new LruMap<string, 1>(stepsKept)
  #lastTs = 0

  constructor(limits: GuardLimits) {
    this.#limits = limits
    this.#stops = new Stops(limits)
  }

  /** Time of the last step counted; 0 if there was none. */
  get lastTs(): number {
    return this.#lastTs
  }

  /** Returns the reason to refuse a proposal; changes nothing. */
  checkProposal({ from, to }: Proposal, ts: number): Trip | undefined {
    const scope = towards(from, to)
    const leftMs = this.#stops.leftMs(scope, ts)
    // One passes after each pause, whatever was counted.
    if (leftMs === 0 && (!this.#isOver(from, to, ts) || this.#stops.isRemembered(scope, ts))) return undefined
    return {
      layer: this.name,
      scope,
      reason: `${Math.round(this.#usedBetween(from, to, ts))} turns in a day of proposals between you two that came to nothing: finish a deal, or settle first what the next one is to be`,
      retryAfterMs: leftMs > 0 ? leftMs : this.#stops.nextMs(scope, ts),
      liftedBy: "progress",
      evidence: this.#turns.peek(scope)?.ids.slice() ?? [],
    }
  }

  /** The proposal was refused. */
  refuseProposal({ from, to }: Proposal, ts: number): void {
    this.#stops.stop(towards(from, to), ts)
    // The other agent is next; the pauses of both end together.
    if (this.#isOver(to, from, ts)) this.#stops.stop(towards(to, from), ts)
  }

  /** Reports whether a step of a deal was counted. */
  knows({ deal, verb }: Pick<DealStep, "deal" | "verb">): boolean {
    return this.#steps.has(`${deal} ${verb}`)
  }

  /** Counts a step once. Returns a warning if this step makes it due. */
  noteStep(step: DealStep, ts: number): Warning | undefined {
    if (this.knows(step)) return undefined
    const { id, verb, deal, from, to } = step
    this.#steps.set(`${deal} ${verb}`, 1)
    this.#lastTs = ts
    if (verb === "COMPLETE") {
      this.#takeBack(from, to, ts)
      return undefined
    }
    const [author, other] = verb === "PROPOSAL" ? [from, to] : [to, from]
    const scope = towards(author, other)
    if (verb === "PROPOSAL")
      for (const each of [scope, towards(other, author)])
        if (this.#stops.isRemembered(each, ts)) this.#stops.stop(each, ts)
    addTo(this.#turns, scope, 1, { id, ts, from: author }, this.#limits.slowWindowMs)
    const used = this.#usedBetween(author, other, ts)
    const { dealTurns } = this.#limits
    if (used < dealTurns / 2 || used - 1 >= dealTurns / 2) return undefined
    return { layer: this.name, scope, reason: `${Math.round(used)} of ${dealTurns} are used` }
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) this.reset(agent)
  }

  reset(scope: string | undefined): void {
    this.#stops.reset(scope)
    deleteWhere(this.#turns, (key) => isUnder(key, scope))
  }

  usage(agent: string, ts: number): Usage[] {
    const { dealTurns: limit, slowWindowMs } = this.#limits
    return [...this.#turns]
      .filter(([scope]) => isUnder(scope, agent) && this.#turnsOf(scope, ts) > 0)
      .map(([scope, { since }]) => {
        const [author = "", , other = ""] = scope.split(" ")
        const leftMs = this.#stops.leftMs(scope, ts)
        const freeInMs = leftMs > 0 ? leftMs : since + slowWindowMs - ts
        const used = this.#usedBetween(author, other, ts)
        return { layer: this.name, scope, used, limit, freeInMs, isTripped: leftMs > 0 }
      })
  }

  save(): string {
    const steps = formatEntries(this.#steps, savedCharacters)
    return `{"ts":${this.#lastTs},"stops":${this.#stops.save()},"turns":${saveWindows(this.#turns)},"steps":${steps}}`
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#lastTs = isNumber(state["ts"]) ? state["ts"] : 0
    this.#stops.load(state["stops"])
    loadWindows(this.#turns, state["turns"])
    readEntries(this.#steps, state["steps"], (value) => (value === 1 ? value : undefined))
  }

  /** A completed deal takes back a turn; it does not say whose, so the agent with more turns loses it. */
  #takeBack(one: string, other: string, ts: number): void {
    const scopes = [towards(one, other), towards(other, one)] as const
    const scope = this.#turnsOf(scopes[0], ts) >= this.#turnsOf(scopes[1], ts) ? scopes[0] : scopes[1]
    const turns = this.#turns.peek(scope)
    if (turns !== undefined) turns.used = Math.max(0, turns.used - 1)
  }

  #isOver(from: string, to: string, ts: number): boolean {
    const used = this.#usedBetween(from, to, ts)
    return used + 1 > this.#limits.dealTurns && this.#turnsOf(towards(from, to), ts) >= used / 2
  }

  #usedBetween(one: string, other: string, ts: number): number {
    return this.#turnsOf(towards(one, other), ts) + this.#turnsOf(towards(other, one), ts)
  }

  #turnsOf(scope: string, ts: number): number {
    return usedIn(this.#turns.peek(scope), ts, this.#limits.slowWindowMs)
  }
}
