import { LruMap } from "../../base/lru-map.js"
import type { GuardFacts } from "../../protocol/guard-facts.js"

/** Stops and warnings that are remembered; the oldest are forgotten first. */
const toldScopes = 2_048

/** What those whom a scope names were told of it. */
export interface Told {
  readonly scope: string
  readonly facts: GuardFacts
  readonly reason: string
  /** A stop, or else a warning. */
  readonly isTrip: boolean
  /** When it is over, or is told again, in milliseconds of the guards' time. */
  readonly untilTs: number
}

/** The stops and warnings that were told, so that each is told once. */
export class StopNotices {
  readonly #byKey = new LruMap<string, Told>(toldScopes)

  /** Takes note of one that is told now. @returns whether it is news */
  take(told: Told, ts: number): boolean {
    const key = `${told.isTrip ? "!" : "?"}${told.facts.layer} ${told.scope}`
    const before = this.#byKey.peek(key)
    this.#byKey.set(key, told)
    return before === undefined || before.untilTs <= ts
  }

  /** Forgets those that fit: they will be news again. @returns the stops among them that were not over */
  forget(fits: (told: Told) => boolean, ts: number): Told[] {
    const stops: Told[] = []
    for (const [key, told] of this.#byKey) {
      if (!fits(told)) continue
      this.#byKey.delete(key)
      if (told.isTrip && told.untilTs > ts) stops.push(told)
    }
    return stops
  }
}
