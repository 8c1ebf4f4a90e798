import type { GuardLimits } from "../guard-limits.js"
import { Recent } from "../recent.js"
import type { Traced, Usage } from "../said.js"
import {
  counted,
  type Drain,
  drained,
  isHeavy,
  isSharedCount,
  ownOf,
  refilled,
  type SharedCount,
} from "../shared-count.js"
import { type Count, pausesOf, StoppingLayer } from "./stopping-layer.js"

/**
 * Talk in a room in which nothing is done: each return costs a turn, of the room and of the author. Who took its share of
 * a room that is used up is stopped; who only drops in is not.
 */
export class ConversationLayer extends StoppingLayer<SharedCount> {
  readonly name = "conversation"
  protected readonly liftedBy = "progress"
  readonly #drain: Drain

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new Recent<SharedCount>(1_024, 90_000))
    const perMs = 1 / limits.conversationRegainMs
    this.#drain = { used: perMs, own: (perMs * limits.conversationOwn) / limits.conversationTurns }
  }

  refill(agents: readonly string[], ts: number): void {
    for (const [room] of this.kept.entries()) {
      const before = this.#at(room, ts)
      const after = refilled(before, agents)
      if (after === before) continue
      this.kept.set(room, after)
      if (after.own.length === 0) this.stops.reset(room)
      else for (const agent of agents) this.stops.reset(scopeOf(agent, room))
    }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  override reset(scope: string | undefined): void {
    super.reset(scope)
    if (scope?.startsWith("@") !== true || scope.includes(" ")) return
    for (const [room, count] of this.kept.entries()) {
      const own = count.own.filter(([agent]) => agent !== scope)
      if (own.length < count.own.length)
        this.kept.set(room, { ...count, own, used: Math.max(0, count.used - ownOf(count, scope)) })
    }
  }

  protected count({ room, from, ts, returns, kind, to, answers }: Traced): Count[] {
    // A status passes also where others are stopped, as long as it answers nothing.
    if (kind === "status" && to.length === 0 && answers === undefined && returns === 0) return []
    const count = this.#at(room, ts)
    const own = ownOf(count, from)
    const { conversationTurns, conversationOwn } = this.limits
    const common = {
      cost: returns,
      reason: `${Math.round(count.used)} times somebody came back to speak here and no work was done: finish something, or let an operator decide`,
      evidence: count.ids,
    }
    const counts = [{ ...common, scope: scopeOf(from, room), used: own, limit: conversationOwn }]
    if (isHeavy(count, from, { cost: returns, limit: conversationTurns }, this.limits))
      counts.push({ ...common, scope: room, used: count.used, limit: conversationTurns })
    return counts
  }

  protected take({ room, from, ts, returns, id, isFeed, kind }: Traced): void {
    if (isFeed && kind !== "status") this.#forgive(room, from, ts)
    if (returns > 0) this.kept.set(room, counted(this.#at(room, ts), from, returns, id))
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept.entries().flatMap(([room]) => {
      const count = this.#at(room, ts)
      const own = ownOf(count, agent)
      if (own === 0) return []
      const freeInMs = this.limits.conversationRegainMs
      return [
        {
          scope: room,
          used: Math.ceil(count.used),
          limit: this.limits.conversationTurns,
          freeInMs,
        },
        {
          scope: scopeOf(agent, room),
          used: Math.ceil(own),
          limit: this.limits.conversationOwn,
          freeInMs: Math.ceil(1 / this.#drain.own),
        },
      ]
    })
  }

  protected isKept(value: unknown): value is SharedCount {
    return isSharedCount(value)
  }

  /** Who turns out to be a feed, before anybody is stopped, never came back to speak. */
  #forgive(room: string, agent: string, ts: number): void {
    const count = this.#at(room, ts)
    const mine = ownOf(count, agent)
    if (mine === 0 || this.#isStuck(room, ts)) return
    const own = count.own.filter(([id]) => id !== agent)
    this.kept.set(room, { ...count, own, used: Math.max(0, count.used - mine) })
  }

  /** Time gives back what was used, but not to a room in which somebody was stopped and still tries. */
  #at(room: string, ts: number): SharedCount {
    const count = this.kept.get(room)
    const drain = this.#isStuck(room, ts) ? { used: 0, own: 0 } : this.#drain
    return drained(count, ts, drain)
  }

  #isStuck(room: string, ts: number): boolean {
    if (this.stops.isEmpty) return false
    if (this.stops.isRemembered(room, ts)) return true
    const own = this.kept.get(room)?.own ?? []
    return own.some(([agent]) => this.stops.isRemembered(scopeOf(agent, room), ts))
  }
}

function scopeOf(agent: string, room: string): string {
  return `${agent} in ${room}`
}
