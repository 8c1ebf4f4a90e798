import { isNumbers, isPlain, isTexts } from "../../base/plain.js"
import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { isUnder, othersThan, pairOf } from "../scopes.js"
import { type Count, pausesOf, StoppingRule, withEvidence } from "./stopping-rule.js"

/** Turns of two agents, oldest first. */
interface Turns {
  readonly times: number[]
  ids: string[]
}

const noTimes: number[] = []

/** Two agents that answer each other faster than anybody thinks, wherever they do. */
export class PairRule extends StoppingRule<Turns> {
  readonly name = "pair"
  protected readonly liftedBy = "time"

  constructor(limits: GuardLimits) {
    const pauses = { ...pausesOf(limits), firstMs: limits.pairCooldownMs, maxMs: limits.pairCooldownMaxMs }
    super(limits, pauses, new SavedMap<Turns>(4_096, 60_000))
  }

  protected count(said: Traced): readonly Count[] {
    const targets = othersThan(said.from, said.to, said.turnsWith)
    const limit = this.limits.pairTurns
    const counts: Count[] = []
    for (const target of targets) {
      const scope = pairOf(said.from, target)
      const used = this.#recent(scope, said.ts).length
      if (this.isQuiet(used, 1, limit)) continue
      counts.push({
        scope,
        used,
        cost: said.turnsWith.includes(target) ? 1 : 0,
        limit,
        reason: () =>
          `you two answered each other ${limit} times in ${this.limits.pairWindowMs / 1000} s: wait, then write once and with something new`,
        evidence: () => this.kept.get(scope)?.ids ?? [],
      })
    }
    return counts
  }

  protected take(said: Traced): void {
    for (const target of said.turnsWith) {
      const scope = pairOf(said.from, target)
      this.#recent(scope, said.ts)
      const turns = this.kept.get(scope) ?? { times: [], ids: [] }
      turns.times.push(said.ts)
      if (turns.times.length > this.limits.pairTurns) turns.times.shift()
      turns.ids = withEvidence(turns.ids, said.id)
      this.kept.set(scope, turns)
    }
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept
      .entries()
      .filter(([scope]) => isUnder(scope, agent) && this.#recent(scope, ts).length > 0)
      .map(([scope]) => {
        const times = this.#recent(scope, ts)
        const freeInMs = Math.max(0, (times[0] ?? ts) + this.limits.pairWindowMs - ts)
        return { scope, used: times.length, limit: this.limits.pairTurns, freeInMs }
      })
  }

  protected read(value: unknown): Turns | undefined {
    if (!isPlain(value)) return undefined
    const { times, ids } = value
    return isNumbers(times) && isTexts(ids) ? { times, ids } : undefined
  }

  /** Those of the last while; what is older is forgotten. */
  #recent(scope: string, ts: number): readonly number[] {
    const times = this.kept.get(scope)?.times ?? noTimes
    while (times.length > 0 && ts - (times[0] ?? ts) >= this.limits.pairWindowMs) times.shift()
    return times
  }
}
