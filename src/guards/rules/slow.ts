import { DailyTurns } from "../daily-turns.js"
import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { isUnder, othersThan, pairOf } from "../scopes.js"
import { type Count, pausesOf, StoppingRule } from "./stopping-rule.js"

/** Parts of the window that are counted apart. */
const partsOfWindow = 24

/** Loops so slow that no other layer sees them: what a pair and a room of several may say to each other in a day. */
export class SlowRule extends StoppingRule<DailyTurns> {
  readonly name = "slow"
  protected readonly liftedBy = "progress"

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new SavedMap<DailyTurns>(4_096, 90_000))
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) {
      for (const [scope, day] of this.kept.entries()) {
        if (isUnder(scope, agent)) this.kept.delete(scope)
        else if (day.remove(agent)) this.kept.set(scope, day)
      }
      this.stops.reset(agent)
    }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  protected count(said: Traced): readonly Count[] {
    const { slowPairTurns, slowRoomTurns, slowRoomSpeakers } = this.limits
    const counts: Count[] = []
    for (const target of othersThan(said.from, said.to, said.turnsWith)) {
      const cost = said.turnsWith.includes(target) ? 1 : 0
      this.#count(pairOf(said.from, target), said, { cost, limit: slowPairTurns }, counts)
    }
    if (said.room.includes(" ")) return counts
    const day = this.kept.get(said.room)
    const own = day?.ownOf(said.from) ?? 0
    if (day === undefined || day.speakers < slowRoomSpeakers || own === 0) return counts
    if (own + 1 < day.turnsOfSpeakers / day.speakers) return counts
    const cost = said.returns > 0 ? 1 : 0
    this.#count(said.room, said, { cost, limit: slowRoomTurns }, counts)
    return counts
  }

  protected take(said: Traced): void {
    for (const target of said.turnsWith) this.#add(pairOf(said.from, target), said)
    if (said.returns > 0 && !said.room.includes(" ")) this.#add(said.room, said, said.from)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept
      .entries()
      .filter(([scope, day]) => isUnder(scope, agent) || day.ownOf(agent) > 0)
      .map(([scope, day]) => ({
        scope,
        used: day.turnsSince(this.#oldestPart(ts)),
        limit: day.speakers > 0 ? this.limits.slowRoomTurns : this.limits.slowPairTurns,
        freeInMs: this.limits.slowWindowMs / partsOfWindow,
      }))
      .filter(({ used }) => used > 0)
  }

  protected read(value: unknown): DailyTurns | undefined {
    return DailyTurns.load(value)
  }

  #count(
    scope: string,
    { ts }: Traced,
    { cost, limit }: Pick<Count, "cost" | "limit">,
    counts: Count[],
  ): void {
    const day = this.kept.get(scope)
    const used = day?.turnsSince(this.#oldestPart(ts)) ?? 0
    if (this.isQuiet(used, cost, limit)) return
    counts.push({
      scope,
      used,
      cost,
      limit,
      reason: () =>
        `${limit} turns in a day and no work was done: finish something, or let an operator decide`,
      evidence: day?.ids ?? [],
    })
  }

  #partOf(ts: number): number {
    return Math.floor((ts / this.limits.slowWindowMs) * partsOfWindow)
  }

  /** The first part of the window that ends at `ts`. */
  #oldestPart(ts: number): number {
    return this.#partOf(ts) - partsOfWindow + 1
  }

  /** @param speaker - of a room */
  #add(scope: string, { id, ts }: Traced, speaker?: string): void {
    const day = this.kept.get(scope) ?? new DailyTurns()
    day.add(id, { oldest: this.#oldestPart(ts), part: this.#partOf(ts) }, speaker)
    this.kept.set(scope, day)
  }
}
