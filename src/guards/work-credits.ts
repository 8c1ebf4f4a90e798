import { isNumber } from "../base/plain.js"
import type { GuardLimits } from "./limits.js"
import { SavedMap } from "./saved-map.js"
import { isUnder } from "./scopes.js"

/** How often an agent was refilled, less what time has taken off, and when that was counted. */
type Level = readonly [refills: number, ts: number]

/**
 * Who may have given back what talk used up. Work that is done does that, but a deal about nothing is made in three
 * statements: whoever has had it `refills` times has it again only every `refillMs`.
 */
export class WorkCredits {
  readonly #most: number
  readonly #everyMs: number
  readonly #levels = new SavedMap<Level>(4_096, 20_000)

  constructor({ refills, refillMs }: GuardLimits) {
    this.#most = refills
    this.#everyMs = refillMs
  }

  /** Those of the agents to whom it is due now; it is counted. */
  take(agents: readonly string[], ts: number): string[] {
    return [...new Set(agents)].filter((agent) => {
      const level = this.#levelOf(agent, ts)
      if (level + 1 > this.#most) return false
      this.#levels.set(agent, [level + 1, ts])
      return true
    })
  }

  reset(scope: string | undefined): void {
    for (const [agent] of this.#levels.entries()) if (isUnder(agent, scope)) this.#levels.delete(agent)
  }

  save(): unknown {
    return this.#levels.save()
  }

  load(state: unknown): void {
    this.#levels.load(state, isLevel)
  }

  #levelOf(agent: string, ts: number): number {
    const [refills, sinceTs] = this.#levels.get(agent) ?? [0, ts]
    return Math.max(0, Math.min(refills, this.#most) - Math.max(0, ts - sinceTs) / this.#everyMs)
  }
}

function isLevel(value: unknown): value is Level {
  return Array.isArray(value) && value.length === 2 && value.every(isNumber)
}
