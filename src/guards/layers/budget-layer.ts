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
  type SharedCount,
} from "../shared-count.js"
import { type Count, pausesOf, StoppingLayer } from "./stopping-layer.js"

/** What everybody in a room has to read, in tokens as far as bytes tell. */
export class BudgetLayer extends StoppingLayer<SharedCount> {
  readonly name = "budget"
  protected readonly liftedBy = "operator"
  protected override readonly warnShare = 0.8
  readonly #drain: Drain

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new Recent<SharedCount>(1_024, 50_000))
    const perMs = limits.tokensPerHour / 3_600_000
    this.#drain = { used: perMs, own: perMs }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  protected count(said: Traced): Count[] {
    const count = this.#at(said.room, said.ts)
    const cost = tokensOf(said)
    const limit = this.limits.tokensPerHour
    if (!isHeavy(count, said.from, { cost, limit }, this.limits)) return []
    const { used, ids } = count
    const reason = () =>
      `about ${Math.round(used + cost)} tokens are read here in an hour, ${limit} may be: write less, or to fewer`
    return [{ scope: said.room, used, cost, limit, reason, evidence: ids }]
  }

  protected take(said: Traced): void {
    const count = this.#at(said.room, said.ts)
    this.kept.set(said.room, counted(count, said.from, tokensOf(said), said.id))
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept.entries().flatMap(([scope]) => {
      const count = this.#at(scope, ts)
      if (ownOf(count, agent) === 0) return []
      const used = Math.ceil(count.used)
      return [
        { scope, used, limit: this.limits.tokensPerHour, freeInMs: Math.ceil(count.used / this.#drain.used) },
      ]
    })
  }

  protected isKept(value: unknown): value is SharedCount {
    return isSharedCount(value)
  }

  /** What was read drains with time, but not while somebody is stopped and still tries. */
  #at(room: string, ts: number): SharedCount {
    const drain = this.stops.isRemembered(room, ts) ? { used: 0, own: 0 } : this.#drain
    return drained(this.kept.get(room), ts, drain)
  }
}

function tokensOf({ bytes, recipients }: Traced): number {
  return Math.ceil(bytes / 4) * recipients
}
