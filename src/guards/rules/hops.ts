import { isNumber } from "../../base/plain.js"
import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { isUnder, othersThan, pairOf } from "../scopes.js"
import { type Count, nothingCounted, pausesOf, StoppingRule } from "./stopping-rule.js"

/** Threads that go on and on: each answer is one hop more, until work is done or an operator speaks. */
export class HopsRule extends StoppingRule<number> {
  readonly name = "hops"
  protected readonly liftedBy = "progress"

  constructor(limits: GuardLimits) {
    super(limits, { ...pausesOf(limits), firstMs: limits.hopsFollowMs }, new SavedMap<number>(4_096, 30_000))
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) this.reset(agent)
  }

  protected count(said: Traced): readonly Count[] {
    const { parent, from, hops, via } = said
    const targets = othersThan(from, said.to, parent === undefined ? [] : [parent.from])
    if (targets.length === 0) return nothingCounted
    const own = via.filter((author) => author === from).length
    const isDeep = hops >= this.limits.hops || own >= this.limits.hopsOwn
    if (!isDeep && this.isQuiet(hops - 1, 1, this.limits.hops)) return nothingCounted
    // Who answers itself goes on with whom it writes to.
    const goesOn = (target: string) => target === parent?.from || parent?.from === from
    return targets.map((target) => ({
      scope: pairOf(from, target),
      used: !goesOn(target) ? 0 : isDeep ? this.limits.hops : Math.min(hops, this.limits.hops) - 1,
      cost: goesOn(target) ? 1 : 0,
      limit: this.limits.hops,
      reason: () =>
        `${hops} messages answered one another and no work was done: finish something, or let it rest`,
      evidence: said.trail,
    }))
  }

  protected take({ from, parent, hops }: Traced): void {
    if (parent !== undefined && hops > 0 && parent.from !== from)
      this.kept.set(pairOf(from, parent.from), hops)
  }

  protected usedBy(agent: string): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept
      .entries()
      .filter(([pair]) => isUnder(pair, agent))
      .map(([scope, used]) => ({ scope, used, limit: this.limits.hops, freeInMs: undefined }))
  }

  protected read(value: unknown): number | undefined {
    return isNumber(value) ? value : undefined
  }
}
