import { LruMap } from "../base/lru-map.js"
import { isPlain } from "../base/plain.js"
import { RecentMap } from "../base/recent-map.js"
import type { GuardMessage, RuleName, Trip, Usage, Warning } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { BudgetRule } from "./rules/budget.js"
import { ConversationRule } from "./rules/conversation.js"
import { type DealStep, DealsRule } from "./rules/deals.js"
import { MentionsRule } from "./rules/mentions.js"
import type { Count, Rule } from "./rules/rule.js"
import { SameRule } from "./rules/same.js"
import { SlowRule } from "./rules/slow.js"
import { WakesRule } from "./rules/wakes.js"
import { deleteWhere, formatEntries, loadEntries } from "./saved.js"
import { isDirect, isUnder } from "./scopes.js"
import { leftMs, mayPass, type Stop, Stops } from "./stops.js"
import { checksumOf } from "./text-digest.js"

/** An accepted message. */
interface Accepted {
  readonly channel: string
  readonly hops: number
}

/** Times an agent's counts were cleared by work, less those regained since, and the time of the last. */
type Refills = readonly [refills: number, ts: number]

/** The state that {@link Guard.save} writes: every part as JSON of its owner. */
interface SavedState {
  readonly ts: number
  readonly stops: unknown
  readonly accepted: unknown
  readonly refills: unknown
  readonly rules: Readonly<Partial<Record<RuleName, unknown>>>
}

/** A count that is near its limit, or whose scope was stopped. */
interface Due {
  readonly rule: Rule
  readonly count: Count
}

/** At least; at most twice as many. */
const acceptedKept = 4_096
const acceptedCharacters = 80_000
const refillsKept = 4_096
const refillCharacters = 15_000
const usageLength = 50
/** Fractions lost while a count drains. */
const rounding = 1e-6

/**
 * The guards of a relay decide whether a message may be accepted. {@link check} asks, {@link note} or {@link refuse} tell
 * the outcome. Messages of operators, presence, receipts and the statements of a deal do not come here; proposals do,
 * through {@link checkProposal}.
 */
export class Guard {
  readonly #limits: GuardLimits
  readonly #stops: Stops
  /** The rules for messages. */
  readonly #rules: readonly Rule[]
  /** The rule for proposals; absent if it is left out. */
  readonly #deals: DealsRule | undefined
  readonly #all: readonly Rule[]
  /** By message id. */
  readonly #accepted = new RecentMap<Accepted>(acceptedKept)
  readonly #refills = new LruMap<string, Refills>(refillsKept)
  #lastTs = 0
  /** The message that was checked last, and the counts it is due for. */
  #checked: GuardMessage | undefined
  #due: Due[] = []

  /** @param only - rules to ask; all of them when absent */
  constructor(limits: GuardLimits, only?: readonly RuleName[]) {
    this.#limits = limits
    this.#stops = new Stops(limits)
    const isAsked = ({ name }: Rule) => only?.includes(name) ?? true
    const types = [ConversationRule, SlowRule, SameRule, MentionsRule, WakesRule, BudgetRule]
    this.#rules = types.map((Type): Rule => new Type(limits, this.#stops)).filter(isAsked)
    this.#deals = [new DealsRule(limits, this.#stops)].find(isAsked)
    this.#all = this.#deals === undefined ? this.#rules : [...this.#rules, this.#deals]
  }

  /** Restores what {@link save} gave, as parsed JSON; ignores anything else. */
  static load(limits: GuardLimits, state: unknown, only?: readonly RuleName[]): Guard {
    const guard = new Guard(limits, only)
    if (!isPlain(state) || state["v"] !== 4) return guard
    // A state that was changed or cut off is not loaded, so nothing in it needs a check.
    if (checksumOf(JSON.stringify(state["state"] ?? null)) !== state["sum"]) return guard
    const { ts, stops, accepted, refills, rules } = state["state"] as SavedState
    guard.#lastTs = ts
    guard.#stops.load(stops)
    loadEntries(guard.#accepted, accepted)
    loadEntries(guard.#refills, refills)
    for (const rule of guard.#all) if (rules[rule.name] !== undefined) rule.load(rules[rule.name])
    return guard
  }

  /** Time of the last message or statement that was counted; 0 if there was none. */
  get lastTs(): number {
    return this.#lastTs
  }

  /** Returns the hops of a message that was accepted in a channel; such a message may come there again. */
  find(id: string, channel: string): number | undefined {
    const accepted = this.#accepted.get(id)
    return accepted?.channel === channel ? accepted.hops : undefined
  }

  /** Returns the length of the chain of replies before a message. */
  hopsOf({ answers, from }: Pick<GuardMessage, "answers" | "from">): number {
    if (answers === undefined) return 0
    const parent = this.#accepted.get(answers)
    // Nobody learns of the direct messages of others by naming them.
    const isKnown = parent !== undefined && (!isDirect(parent.channel) || isUnder(parent.channel, from))
    return isKnown ? parent.hops + 1 : 1
  }

  /** Returns the reason to refuse a message; changes no count. */
  check(message: GuardMessage): Trip | undefined {
    this.#checked = undefined
    if (this.#due.length > 0) this.#due = []
    for (const rule of this.#rules) {
      const trip = this.#ask(rule, rule.count(message), message)
      if (trip !== undefined) return trip
    }
    this.#checked = message
    return undefined
  }

  /** Counts an accepted message. Returns warnings for those whom their scopes name. */
  note(message: GuardMessage): Warning[] {
    // Another relay may have accepted what this one would refuse.
    if (this.#checked !== message) this.#countAll(message)
    const hops = this.hopsOf(message)
    const warnings = this.#due.length === 0 ? [] : this.#settle(message)
    for (const rule of this.#rules) rule.take(message)
    const { id, channel, ts } = message
    this.#checked = undefined
    this.#lastTs = ts
    this.#accepted.set(id, { channel, hops })
    return warnings
  }

  /**
   * Stops the scopes for which a message was refused. Whatever else the same rule would stop is stopped too, so that the
   * pauses end together.
   * @returns the stops that began, as reasons to refuse
   */
  refuse(message: Pick<GuardMessage, "channel" | "ts">, { layer }: Trip): Trip[] {
    const { channel, ts } = message
    const begun: Trip[] = []
    for (const { rule, count } of this.#due) {
      if (rule.name !== layer) continue
      if (!isOver(count)) {
        if (count.dropMs !== undefined) rule.dropped?.(ts)
        continue
      }
      const { scope, used, limit } = count
      const fields = { layer, scope, liftedBy: rule.liftedBy, channel, used: Math.ceil(used), limit }
      const stop = this.#stops.begin(fields, ts, rule.firstPauseMs)
      if (stop !== undefined) begun.push(tripOf(rule, count, stop.pauseMs, stop))
    }
    this.#checked = undefined
    return begun
  }

  /** Returns the reason to refuse a proposal; changes no count. {@link refuse} follows if there is one. */
  checkProposal(proposal: Pick<DealStep, "from" | "to">, ts: number): Trip | undefined {
    this.#due = []
    if (this.#deals === undefined) return undefined
    return this.#ask(this.#deals, this.#deals.countProposal(proposal, ts), { from: proposal.from, ts })
  }

  /** Reports whether a step of a deal needs no counting. */
  knows(step: DealStep): boolean {
    return this.#deals?.knows(step) ?? true
  }

  /** Counts a step of a deal once. Returns a warning if this step makes it due. */
  noteStep(step: DealStep, ts: number): Warning[] {
    if (this.#deals === undefined || this.#deals.knows(step)) return []
    this.#lastTs = ts
    const { verb, from, to } = step
    const proposal = verb === "REJECT" ? { from: to, to: from } : { from, to }
    this.checkProposal(proposal, ts)
    const warnings = verb === "COMPLETE" ? [] : this.#settle({ from: proposal.from, ts })
    this.#deals.takeStep(step, ts)
    return warnings
  }

  /**
   * These agents finished work, which clears what their talk used up. A deal about nothing is made in three statements,
   * so each agent has that only `refills` times, and once more in each `refillMs`.
   * @returns the agents that had it now
   */
  refill(agents: readonly string[], ts: number): readonly string[] {
    const due = [...new Set(agents)].filter((agent) => {
      const refills = this.#refillsOf(agent, ts)
      if (refills + 1 > this.#limits.refills) return false
      this.#refills.set(agent, [refills + 1, ts])
      return true
    })
    for (const rule of this.#all) {
      if (rule.liftedBy !== "progress" || due.length === 0) continue
      if (rule.refill !== undefined) rule.refill(due, ts)
      else for (const agent of due) this.#lift(rule, agent)
    }
    this.#checked = undefined
    return due
  }

  /** An operator spoke in a channel; its talk begins anew. */
  operatorSpoke(channel: string): void {
    for (const rule of this.#all) if (rule.liftedBy !== "time") this.#lift(rule, channel)
    this.#checked = undefined
  }

  /** An operator lifts what was stopped under a scope; undefined: everything. */
  reset(scope: string | undefined): void {
    deleteWhere(this.#refills, (agent) => isUnder(agent, scope))
    for (const rule of this.#all) this.#lift(rule, scope)
    this.#checked = undefined
  }

  /** Returns the stops in force. */
  stops(ts: number): readonly Stop[] {
    return this.#stops.list(ts)
  }

  /** Returns what was counted of an agent, stopped scopes first, then the most used; at most 50. */
  usage(agent: string, ts: number): Usage[] {
    const used = this.#all.flatMap((rule) =>
      rule.usedBy(agent, ts).map((row): Usage => ({ layer: rule.name, isTripped: false, ...row })),
    )
    const isOf = (stop: Stop) => (row: Usage) => row.layer === stop.layer && row.scope === stop.scope
    const stops = this.stops(ts).filter((stop) => isUnder(stop.scope, agent) || used.some(isOf(stop)))
    const free = used.filter((row) => !stops.some((stop) => isOf(stop)(row)))
    free.sort((a, b) => b.used / b.limit - a.used / a.limit)
    return [...stops.map((stop) => usageOf(stop, ts)), ...free].slice(0, usageLength)
  }

  /** Returns the state as JSON of at most 800,000 characters; what was counted longest ago is left out first. */
  save(): string {
    const rules = this.#all.map((rule) => `"${rule.name}":${rule.save()}`)
    const accepted = formatEntries(this.#accepted, acceptedCharacters)
    const refills = formatEntries(this.#refills, refillCharacters)
    const stops = this.#stops.save()
    const state = `{"ts":${this.#lastTs},"stops":${stops},"accepted":${accepted},"refills":${refills},"rules":{${rules.join()}}}`
    return `{"v":4,"sum":${checksumOf(state)},"state":${state}}`
  }

  /** Keeps the counts of a rule for a message. @returns the reason to refuse it */
  #ask(
    rule: Rule,
    counts: readonly Count[],
    { from, ts }: Pick<GuardMessage, "from" | "ts">,
  ): Trip | undefined {
    let trip: Trip | undefined
    for (const count of counts) {
      this.#due.push({ rule, count })
      if (trip !== undefined) continue
      const stop = this.#stops.find(rule.name, count.scope, ts)
      if (stop !== undefined && !mayPass(stop, from, ts)) trip = tripOf(rule, count, leftMs(stop, ts), stop)
      else if (isOver(count) && (stop === undefined || isByTime(rule)))
        trip = tripOf(rule, count, this.#stops.nextMs(stop, rule.firstPauseMs))
      else if (count.dropMs !== undefined && !isOver(count)) trip = tripOf(rule, count, count.dropMs)
    }
    return trip
  }

  #countAll(message: GuardMessage): void {
    this.#due = []
    for (const rule of this.#rules) this.#ask(rule, rule.count(message), message)
  }

  /** Notes in the stops that a message passed. @returns warnings that it makes due */
  #settle({ from, ts }: Pick<GuardMessage, "from" | "ts">): Warning[] {
    const warnings: Warning[] = []
    for (const { rule, count } of this.#due) {
      const { name: layer, warnShare } = rule
      const { scope, used, cost, limit } = count
      const stop = this.#stops.find(layer, scope, ts)
      if (stop !== undefined && !isByTime(rule)) this.#stops.pass(stop, from, ts, rule.firstPauseMs)
      const warnAt = limit * warnShare
      if (used < warnAt && used + cost >= warnAt)
        warnings.push({ layer, scope, reason: `${Math.round(used + cost)} of ${limit} are used` })
    }
    return warnings
  }

  /** Lifts the stops of a rule under a scope, and begins its counts anew. */
  #lift(rule: Rule, scope: string | undefined): void {
    for (const stop of this.#stops.lift(rule.name, scope)) rule.forget(stop.scope)
    rule.forget(scope)
  }

  #refillsOf(agent: string, ts: number): number {
    const [refills, sinceTs] = this.#refills.peek(agent) ?? [0, ts]
    return Math.max(
      0,
      Math.min(refills, this.#limits.refills) - Math.max(0, ts - sinceTs) / this.#limits.refillMs,
    )
  }
}

function isOver({ used, cost, limit }: Count): boolean {
  return cost > 0 && used + cost > limit + rounding
}

/** Reports whether a stop leaves nothing behind when its time is over: its count has begun anew by then. */
function isByTime({ liftedBy }: Rule): boolean {
  return liftedBy === "time"
}

/** @param stop - in force; its reason is what was counted when it began */
function tripOf(rule: Rule, count: Count, retryAfterMs: number, stop?: Stop): Trip {
  const { name: layer, liftedBy } = rule
  const { scope, shown = scope, evidence } = count
  const reason = rule.reasonFor(stop ?? count)
  return { layer, scope: shown, reason, retryAfterMs, liftedBy, evidence: evidence.slice() }
}

/** Returns a stop as a row of what is used. */
export function usageOf(stop: Stop, ts: number): Usage {
  const { layer, scope, used, limit } = stop
  return { layer, scope, used, limit, freeInMs: leftMs(stop, ts), isTripped: true }
}
