import { isNumber, isPlain, isTexts } from "../base/plain.js"
import type { GuardLimits } from "./limits.js"

/** How fast a count drains: units in a millisecond. */
export interface Drain {
  readonly used: number
  readonly own: number
}

/** Of what stands still. */
export const noDrain: Drain = { used: 0, own: 0 }

/** A time at which a count is looked at, and how fast it drained until then. */
export interface Moment {
  readonly ts: number
  readonly drain: Drain
}

/** Agents told apart in one count. */
const ownKept = 64
/** The messages counted last. */
const idsKept = 10
/** Who has used nothing yet is let in, among however many. */
const leastHeavy = 2

/** What agents used up together, and each of them; it drains with time. */
export class SharedCount {
  #ts: number
  #used = 0
  /** By agent, who added last at the end. */
  readonly #own = new Map<string, { used: number }>()
  #ids: string[] = []

  constructor(ts: number) {
    this.#ts = ts
  }

  /** Takes over what {@link toJSON} gave. */
  static load(state: unknown): SharedCount | undefined {
    if (!isPlain(state)) return undefined
    const { ts, used, own, ids } = state
    if (!isNumber(ts) || !isNumber(used) || !isTexts(ids) || !isOwn(own)) return undefined
    const count = new SharedCount(ts)
    count.#used = used
    count.#ids = ids
    for (const [agent, each] of own) count.#own.set(agent, { used: each })
    return count
  }

  /** The messages counted last. */
  get ids(): readonly string[] {
    return this.#ids
  }

  /** Who used of it when it was last counted. */
  get agents(): Iterable<string> {
    return this.#own.keys()
  }

  /** Nobody has used anything. */
  get isFree(): boolean {
    return this.#own.size === 0
  }

  /** What is used at a moment. */
  usedAt({ ts, drain }: Moment): number {
    return Math.max(0, this.#used - this.#goneMs(ts) * drain.used)
  }

  /** What `agent` used of it. */
  ownAt(agent: string, { ts, drain }: Moment): number {
    const own = this.#own.get(agent)
    return own === undefined ? 0 : Math.max(0, own.used - this.#goneMs(ts) * drain.own)
  }

  /**
   * Whether `agent` took its share, or more, of what is nearly used up: who speaks now and then in a room in which others
   * go round in circles is none of those.
   */
  isHeavy(
    agent: string,
    moment: Moment,
    { cost, limit }: { readonly cost: number; readonly limit: number },
    { conversationShare, conversationBeside }: GuardLimits,
  ): boolean {
    const own = this.ownAt(agent, moment)
    if (own + cost < leastHeavy) return false
    const gone = this.#goneMs(moment.ts) * moment.drain.own
    let [most, speakers] = [0, own === 0 ? 1 : 0]
    for (const { used } of this.#own.values()) {
      if (used - gone <= 0) continue
      speakers++
      most = Math.max(most, used - gone)
    }
    return own + cost >= Math.max((conversationShare * limit) / speakers, conversationBeside * most)
  }

  /** Whether `agent` took little beside the one who took most. */
  isLight(agent: string, moment: Moment, { conversationBeside }: GuardLimits): boolean {
    const most = [...this.#own.keys()].reduce((max, id) => Math.max(max, this.ownAt(id, moment)), 0)
    return this.ownAt(agent, moment) < conversationBeside * most
  }

  /** Counts something more, of `agent`, for the message `id`. */
  add(agent: string, cost: number, id: string, moment: Moment): void {
    this.#settle(moment)
    const own = this.#own.get(agent) ?? { used: 0 }
    own.used += cost
    this.#own.delete(agent)
    this.#own.set(agent, own)
    if (this.#own.size > ownKept) {
      const [oldest = ""] = this.#own.keys()
      this.#own.delete(oldest)
    }
    this.#used += cost
    this.#ids.push(id)
    if (this.#ids.length > idsKept) this.#ids.shift()
  }

  /** Takes back what `agent` used, as it was last counted. Gives whether that was anything. */
  remove(agent: string): boolean {
    const own = this.#own.get(agent)
    if (own === undefined) return false
    this.#own.delete(agent)
    this.#used = Math.max(0, this.#used - own.used)
    return true
  }

  /** The same as it stands at a moment. */
  forgive(agent: string, moment: Moment): void {
    this.#settle(moment)
    this.remove(agent)
  }

  /**
   * These agents have worked: what they used is theirs again, and of what others used with them as much as their share of
   * the talk was; half of it frees all. Gives whether they had used anything.
   */
  refill(agents: readonly string[], moment: Moment): boolean {
    if (agents.every((agent) => this.ownAt(agent, moment) === 0)) return false
    this.#settle(moment)
    let [theirs, all] = [0, 0]
    for (const [agent, { used }] of this.#own) {
      all += used
      if (agents.includes(agent)) theirs += used
    }
    const left = Math.max(0, 1 - (2 * theirs) / all)
    for (const [agent, own] of this.#own) {
      own.used *= left
      if (agents.includes(agent) || own.used <= 0) this.#own.delete(agent)
    }
    this.#used = Math.max(0, this.#used - theirs) * left
    return true
  }

  toJSON(): unknown {
    const own = [...this.#own].map(([agent, { used }]) => [agent, used])
    return { ts: this.#ts, used: this.#used, own, ids: this.#ids }
  }

  /** What has drained until then is gone for good. */
  #settle({ ts, drain }: Moment): void {
    const goneMs = this.#goneMs(ts)
    this.#ts += goneMs
    if (goneMs === 0 || drain === noDrain) return
    this.#used = Math.max(0, this.#used - goneMs * drain.used)
    for (const [agent, own] of this.#own) {
      own.used -= goneMs * drain.own
      if (own.used <= 0) this.#own.delete(agent)
    }
  }

  #goneMs(ts: number): number {
    return Math.max(0, ts - this.#ts)
  }
}

function isOwn(value: unknown): value is [agent: string, used: number][] {
  return Array.isArray(value) && value.every(isRow)
}

function isRow(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [agent, used] = value as unknown[]
  return typeof agent === "string" && isNumber(used)
}
