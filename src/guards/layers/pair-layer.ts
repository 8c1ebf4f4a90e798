import type { GuardLimits } from "../guard-limits.js"
import { isNumbers, isPlain, isTexts } from "../plain.js"
import { Recent } from "../recent.js"
import type { Traced, Usage } from "../said.js"
import { isUnder, othersThan, pairOf } from "../scopes.js"
import { type Count, pausesOf, StoppingLayer, withEvidence } from "./stopping-layer.js"

/** Turns of two agents, oldest first. */
interface Turns {
  readonly times: readonly number[]
  readonly ids: readonly string[]
}

/** Two agents that answer each other faster than anybody thinks, wherever they do. */
export class PairLayer extends StoppingLayer<Turns> {
  readonly name = "pair"
  protected readonly liftedBy = "time"

  constructor(limits: GuardLimits) {
    const pauses = { ...pausesOf(limits), firstMs: limits.pairCooldownMs, maxMs: limits.pairCooldownMaxMs }
    super(limits, pauses, new Recent<Turns>(4_096, 60_000))
  }

  protected count(said: Traced): Count[] {
    return othersThan(said.from, said.to, said.turnsWith).map((target) => {
      const scope = pairOf(said.from, target)
      return {
        scope,
        used: this.#recent(scope, said.ts).length,
        cost: said.turnsWith.includes(target) ? 1 : 0,
        limit: this.limits.pairTurns,
        reason: () =>
          `you two answered each other ${this.limits.pairTurns} times in ${this.limits.pairWindowMs / 1000} s: wait, then write once and with something new`,
        evidence: this.kept.get(scope)?.ids ?? [],
      }
    })
  }

  protected take(said: Traced): void {
    for (const target of said.turnsWith) {
      const scope = pairOf(said.from, target)
      const times = [...this.#recent(scope, said.ts), said.ts].slice(-this.limits.pairTurns)
      this.kept.set(scope, { times, ids: withEvidence(this.kept.get(scope)?.ids ?? [], said.id) })
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

  protected isKept(value: unknown): value is Turns {
    return isPlain(value) && isNumbers(value["times"]) && isTexts(value["ids"])
  }

  #recent(scope: string, ts: number): number[] {
    return (this.kept.get(scope)?.times ?? []).filter((time) => ts - time < this.limits.pairWindowMs)
  }
}
