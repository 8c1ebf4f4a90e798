import { pushEvidence } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"

/** How fast a count drains, in units per millisecond. */
export interface Drain {
  /** The sum; with `addsUp` at least what the parts of all agents together drain. */
  readonly used: number
  /** The part of each agent. */
  readonly own: number
  readonly addsUp: boolean
}

/** The time at which a count is read. */
export interface Moment {
  readonly ts: number
  /** The count has not drained since it was changed last. */
  readonly isPaused: boolean
}

/** The part of one agent, at a time of the count's own clock. */
interface Own {
  used: number
  atMs: number
}

/** A {@link SharedCount} as JSON. */
export interface SavedCount {
  readonly ts: number
  readonly clockMs: number
  readonly used: number
  readonly own: readonly (readonly [agent: string, used: number, atMs: number])[]
  readonly ids: string[]
}

/** Agents counted apart. */
const agentsKept = 64
/** An agent that has used nothing yet may use one, among however many. */
const leastHeavy = 2

/** The use of one limit by several agents, together and each of them; it drains with time. */
export class SharedCount {
  readonly #drain: Drain
  #ts: number
  /** Milliseconds for which the count has drained. */
  #clockMs = 0
  #used = 0
  /** By agent, the latest at the end. */
  readonly #own = new Map<string, Own>()
  /** Ids of the messages counted last. */
  readonly ids: string[]

  constructor(drain: Drain, ts: number, ids: string[] = []) {
    this.#drain = drain
    this.#ts = ts
    this.ids = ids
  }

  /** Restores what {@link toJSON} gave. */
  static load(drain: Drain, { ts, clockMs, used, own, ids }: SavedCount): SharedCount {
    const count = new SharedCount(drain, ts, ids)
    count.#clockMs = clockMs
    count.#used = used
    for (const [agent, each, atMs] of own) count.#own.set(agent, { used: each, atMs })
    return count
  }

  /** Agents that used something, the latest last; some of it may have drained to nothing. */
  get agents(): readonly string[] {
    return [...this.#own.keys()]
  }

  usedAt(moment: Moment): number {
    const { used, own, addsUp } = this.#drain
    const perMs = addsUp ? Math.max(used, own * this.#own.size) : used
    return Math.max(0, this.#used - this.#drainingMs(moment) * perMs)
  }

  ownAt(agent: string, moment: Moment): number {
    const own = this.#own.get(agent)
    if (own === undefined) return 0
    const drainedMs = this.#clockMs + this.#drainingMs(moment) - own.atMs
    return Math.max(0, own.used - drainedMs * this.#drain.own)
  }

  /** Returns the number of agents that use something. */
  agentsAt(moment: Moment): number {
    return this.agents.filter((agent) => this.ownAt(agent, moment) > 0).length
  }

  /**
   * Reports whether an agent took its share of the limit, or more. Where a limit is used up only these are stopped, and
   * not an agent that says something now and then.
   * @param cost - what it is about to take
   */
  isHeavy(agent: string, moment: Moment, cost: number, limit: number, limits: GuardLimits): boolean {
    const own = this.ownAt(agent, moment)
    if (own + cost < leastHeavy) return false
    const agents = this.agentsAt(moment) + (own === 0 ? 1 : 0)
    const { conversationShare, conversationBeside } = limits
    return (
      own + cost >= Math.max((conversationShare * limit) / agents, conversationBeside * this.#mostAt(moment))
    )
  }

  /** Reports whether an agent took little compared with the heaviest one. */
  isLight(agent: string, moment: Moment, { conversationBeside }: GuardLimits): boolean {
    return this.ownAt(agent, moment) < conversationBeside * this.#mostAt(moment)
  }

  /** Adds what an agent used with the message `id`. */
  add(agent: string, cost: number, id: string, moment: Moment): void {
    const used = this.ownAt(agent, moment) + cost
    this.#settle(moment)
    this.#used += cost
    pushEvidence(this.ids, id)
    const own = this.#own.get(agent)
    if (own === undefined) this.#forgetOldest(moment)
    else {
      own.used = used
      own.atMs = this.#clockMs
      // The order decides who is forgotten, which takes many agents.
      if (this.#own.size < agentsKept / 2) return
      this.#own.delete(agent)
    }
    this.#own.set(agent, own ?? { used, atMs: this.#clockMs })
  }

  /** Takes back what an agent used. */
  remove(agent: string, moment: Moment): void {
    const own = this.ownAt(agent, moment)
    this.#settle(moment)
    this.#used = Math.max(0, this.#used - own)
    this.#own.delete(agent)
  }

  /**
   * Takes back what agents used that have finished work, and twice as large a share of what the others used: everything,
   * if they used half of it.
   * @returns whether they had used anything
   */
  refill(agents: readonly string[], moment: Moment): boolean {
    const used = this.agents.map((agent) => ({ agent, own: this.ownAt(agent, moment) }))
    const all = used.reduce((sum, { own }) => sum + own, 0)
    const theirs = used.reduce((sum, { agent, own }) => sum + (agents.includes(agent) ? own : 0), 0)
    if (theirs === 0) return false
    this.#settle(moment)
    const left = Math.max(0, 1 - (2 * theirs) / all)
    for (const { agent, own } of used) {
      if (agents.includes(agent) || own * left <= 0) this.#own.delete(agent)
      else this.#own.set(agent, { used: own * left, atMs: this.#clockMs })
    }
    this.#used = Math.max(0, this.#used - theirs) * left
    return true
  }

  toJSON(): SavedCount {
    const own = [...this.#own].map(([agent, { used, atMs }]): SavedCount["own"][number] => [
      agent,
      used,
      atMs,
    ])
    return { ts: this.#ts, clockMs: this.#clockMs, used: this.#used, own, ids: this.ids }
  }

  /** Makes room for one more agent. Where the number of agents counts, those whose part has drained are forgotten. */
  #forgetOldest(moment: Moment): void {
    for (const oldest of this.#own.keys()) {
      if (this.#own.size < agentsKept && (!this.#drain.addsUp || this.ownAt(oldest, moment) > 0)) return
      this.#own.delete(oldest)
    }
  }

  #mostAt(moment: Moment): number {
    return this.agents.reduce((most, agent) => Math.max(most, this.ownAt(agent, moment)), 0)
  }

  /** Subtracts what has drained until a moment. */
  #settle(moment: Moment): void {
    this.#used = this.usedAt(moment)
    this.#clockMs += this.#drainingMs(moment)
    this.#ts = Math.max(this.#ts, moment.ts)
  }

  #drainingMs({ ts, isPaused }: Moment): number {
    return isPaused ? 0 : Math.max(0, ts - this.#ts)
  }
}
