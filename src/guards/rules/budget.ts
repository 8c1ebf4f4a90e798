import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { type Drain, type Moment, noDrain, SharedCount } from "../shared-count.js"
import { type Count, nothingCounted, pausesOf, StoppingRule } from "./stopping-rule.js"

/** What everybody in a room has to read, in tokens as far as bytes tell. */
export class BudgetRule extends StoppingRule<SharedCount> {
  readonly name = "budget"
  protected readonly liftedBy = "operator"
  protected override readonly warnShare = 0.8
  readonly #drain: Drain

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new SavedMap<SharedCount>(1_024, 50_000))
    const perMs = limits.tokensPerHour / 3_600_000
    this.#drain = { used: perMs, own: perMs }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  protected count(said: Traced): readonly Count[] {
    const count = this.#countOf(said)
    const moment = this.#momentOf(said.room, said.ts)
    const cost = tokensOf(said)
    const limit = this.limits.tokensPerHour
    const used = count.usedAt(moment)
    if (this.isQuiet(used, cost, limit)) return nothingCounted
    if (!count.isHeavy(said.from, moment, { cost, limit }, this.limits)) return nothingCounted
    const reason = () =>
      `about ${Math.round(used + cost)} tokens are read here in an hour, ${limit} may be: write less, or to fewer`
    return [{ scope: said.room, used, cost, limit, reason, evidence: count.ids }]
  }

  protected take(said: Traced): void {
    const count = this.#countOf(said)
    count.add(said.from, tokensOf(said), said.id, this.#momentOf(said.room, said.ts))
    this.kept.set(said.room, count)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    const limit = this.limits.tokensPerHour
    return this.kept.entries().flatMap(([scope, count]) => {
      const moment = this.#momentOf(scope, ts)
      if (count.ownAt(agent, moment) === 0) return []
      const used = count.usedAt(moment)
      return [{ scope, used: Math.ceil(used), limit, freeInMs: Math.ceil(used / this.#drain.used) }]
    })
  }

  protected read(value: unknown): SharedCount | undefined {
    return SharedCount.load(value)
  }

  #countOf({ room, ts }: Traced): SharedCount {
    return this.kept.get(room) ?? new SharedCount(ts)
  }

  /** What was read drains with time, but not while somebody is stopped and still tries. */
  #momentOf(room: string, ts: number): Moment {
    return { ts, drain: this.stops.isRemembered(room, ts) ? noDrain : this.#drain }
  }
}

function tokensOf({ bytes, recipients }: Traced): number {
  return Math.ceil(bytes / 4) * recipients
}
