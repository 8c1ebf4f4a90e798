import { LruMap } from "../base/lru-map.js"
import { isNumber, isPlain } from "../base/plain.js"
import type { GuardMessage, RuleName, Trip, Usage, Warning } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { BudgetRule } from "./rules/budget.js"
import { ConversationRule } from "./rules/conversation.js"
import { DealsRule } from "./rules/deals.js"
import { MentionsRule } from "./rules/mentions.js"
import type { MessageRule, RuleState } from "./rules/rule.js"
import { SameRule } from "./rules/same.js"
import { SlowRule } from "./rules/slow.js"
import { WakesRule } from "./rules/wakes.js"
import { deleteWhere, formatEntries, readEntries } from "./saved.js"
import { isDirect, isUnder } from "./scopes.js"

/** An accepted message. */
interface Accepted {
  readonly channel: string
  readonly hops: number
}

/** Times an agent's counts were cleared by work, less those regained since, and the time of the last. */
type Refills = readonly [refills: number, ts: number]

const acceptedKept = 8_192
const acceptedCharacters = 80_000
const refillsKept = 4_096
const refillCharacters = 15_000
const usageLength = 50

/**
 * The guards of a relay decide whether a message may be accepted. {@link check} asks, {@link note} or {@link refuse} tell
 * the outcome. Messages of operators, presence, receipts and the statements of a deal do not come here; proposals do,
 * through {@link deals}.
 */
export class Guard {
  readonly #limits: GuardLimits
  readonly #rules: readonly MessageRule[]
  readonly #states: readonly RuleState[]
  /** Proposals; absent if that rule is left out. */
  readonly deals: DealsRule | undefined
  /** By message id. */
  readonly #accepted = new LruMap<string, Accepted>(acceptedKept)
  readonly #refills = new LruMap<string, Refills>(refillsKept)
  #lastTs = 0
  /** The message that all rules have just let pass. */
  #checked: GuardMessage | undefined

  /** @param only - rules to ask; all of them when absent */
  constructor(limits: GuardLimits, only?: readonly RuleName[]) {
    this.#limits = limits
    const isAsked = ({ name }: RuleState) => only?.includes(name) ?? true
    const deals = new DealsRule(limits)
    this.deals = isAsked(deals) ? deals : undefined
    this.#rules = [
      new ConversationRule(limits),
      new SlowRule(limits),
      new SameRule(limits),
      new MentionsRule(limits),
      new WakesRule(limits),
      new BudgetRule(limits),
    ].filter(isAsked)
    this.#states = isAsked(deals) ? [...this.#rules, deals] : this.#rules
  }

  /** Restores what {@link save} gave, as parsed JSON; ignores anything else. */
  static load(limits: GuardLimits, state: unknown, only?: readonly RuleName[]): Guard {
    const guard = new Guard(limits, only)
    if (!isPlain(state) || state["v"] !== 2) return guard
    guard.#lastTs = isNumber(state["ts"]) ? state["ts"] : 0
    readEntries(guard.#accepted, state["accepted"], (value) => (isAccepted(value) ? value : undefined))
    readEntries(guard.#refills, state["refills"], (value) => (isRefills(value) ? value : undefined))
    const rules = isPlain(state["rules"]) ? state["rules"] : {}
    for (const rule of guard.#states) rule.load(rules[rule.name])
    return guard
  }

  /** Time of the last message or statement that was counted or refused; 0 if there was none. */
  get lastTs(): number {
    return Math.max(this.#lastTs, this.deals?.lastTs ?? 0)
  }

  /** Returns the hops of a message that was accepted in a channel; such a message may come there again. */
  find(id: string, channel: string): number | undefined {
    const accepted = this.#accepted.peek(id)
    return accepted?.channel === channel ? accepted.hops : undefined
  }

  /** Returns the length of the chain of replies before a message. */
  hopsOf({ answers, from }: Pick<GuardMessage, "answers" | "from">): number {
    if (answers === undefined) return 0
    const parent = this.#accepted.peek(answers)
    // Nobody learns of the direct messages of others by naming them.
    const isKnown = parent !== undefined && (!isDirect(parent.channel) || isUnder(parent.channel, from))
    return isKnown ? parent.hops + 1 : 1
  }

  /** Returns the reason to refuse a message; changes no count. */
  check(message: GuardMessage): Trip | undefined {
    this.#checked = undefined
    for (const rule of this.#rules) {
      const trip = rule.check(message)
      if (trip !== undefined) return trip
    }
    this.#checked = message
    return undefined
  }

  /** Counts an accepted message. Returns warnings for those whom their scopes name. */
  note(message: GuardMessage): Warning[] {
    // Another relay may have accepted what this one would refuse.
    if (this.#checked !== message) for (const rule of this.#rules) rule.check(message)
    this.#checked = undefined
    this.#lastTs = message.ts
    const { id, channel } = message
    this.#accepted.set(id, { channel, hops: this.hopsOf(message) })
    const warnings: Warning[] = []
    for (const rule of this.#rules) {
      const warning = rule.note(message)
      if (warning !== undefined) warnings.push(warning)
    }
    return warnings
  }

  /** The message was refused for `trip`. */
  refuse(message: GuardMessage, trip: Trip): void {
    this.#checked = undefined
    this.#lastTs = message.ts
    this.#rules.find(({ name }) => name === trip.layer)?.refuse(message, trip)
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
    if (due.length > 0) for (const rule of this.#states) rule.refill?.(due, ts)
    this.#checked = undefined
    return due
  }

  /** An operator spoke in a channel; its talk begins anew. */
  operatorSpoke(channel: string): void {
    for (const rule of this.#rules) rule.operatorSpoke?.(channel)
    this.#checked = undefined
  }

  /** An operator lifts what was stopped under a scope; undefined: everything. */
  reset(scope: string | undefined): void {
    deleteWhere(this.#refills, (agent) => isUnder(agent, scope))
    for (const rule of this.#states) rule.reset(scope)
    this.#checked = undefined
  }

  /** Returns what was counted of an agent, stopped scopes first, then the most used; at most 50. */
  usage(agent: string, ts: number): Usage[] {
    return this.#states
      .flatMap((rule) => rule.usage(agent, ts))
      .sort((a, b) => Number(b.isTripped) - Number(a.isTripped) || b.used / b.limit - a.used / a.limit)
      .slice(0, usageLength)
  }

  /** Returns the state as JSON of at most 800,000 characters; what was counted longest ago is left out first. */
  save(): string {
    const rules = this.#states.map((rule) => `"${rule.name}":${rule.save()}`)
    const accepted = formatEntries(this.#accepted, acceptedCharacters)
    const refills = formatEntries(this.#refills, refillCharacters)
    return `{"v":2,"ts":${this.#lastTs},"accepted":${accepted},"refills":${refills},"rules":{${rules.join()}}}`
  }

  #refillsOf(agent: string, ts: number): number {
    const [refills, sinceTs] = this.#refills.peek(agent) ?? [0, ts]
    return Math.max(
      0,
      Math.min(refills, this.#limits.refills) - Math.max(0, ts - sinceTs) / this.#limits.refillMs,
    )
  }
}

function isAccepted(value: unknown): value is Accepted {
  return isPlain(value) && typeof value["channel"] === "string" && isNumber(value["hops"])
}

function isRefills(value: unknown): value is Refills {
  return Array.isArray(value) && value.length === 2 && value.every(isNumber)
}
