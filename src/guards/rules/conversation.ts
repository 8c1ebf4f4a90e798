import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { authorIn } from "../scopes.js"
import { type Drain, type Moment, noDrain, SharedCount } from "../shared-count.js"
import { type Count, nothingCounted, pausesOf, StoppingRule } from "./stopping-rule.js"

/**
 * Talk in a room in which nothing is done: each return costs a turn, of the room and of the author. Who took its share of
 * a room that is used up is stopped; who only drops in is not.
 */
export class ConversationRule extends StoppingRule<SharedCount> {
  readonly name = "conversation"
  protected readonly liftedBy = "progress"
  readonly #drain: Drain

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new SavedMap<SharedCount>(1_024, 90_000))
    const perMs = 1 / limits.conversationRegainMs
    this.#drain = { used: perMs, own: (perMs * limits.conversationOwn) / limits.conversationTurns }
  }

  refill(agents: readonly string[], ts: number): void {
    for (const [room, count] of this.kept.entries()) {
      if (!count.refill(agents, this.#momentOf(room, ts))) continue
      this.kept.set(room, count)
      if (count.isFree) this.stops.reset(room)
      else for (const agent of agents) this.stops.reset(authorIn(agent, room))
    }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  override reset(scope: string | undefined): void {
    super.reset(scope)
    if (scope?.startsWith("@") !== true || scope.includes(" ")) return
    for (const [room, count] of this.kept.entries()) if (count.remove(scope)) this.kept.set(room, count)
  }

  protected count(said: Traced): readonly Count[] {
    const { room, from, ts, kind, to, answers } = said
    // A status passes also where others are stopped, as long as it answers nothing.
    if (kind === "status" && to.length === 0 && answers === undefined && said.returns === 0)
      return nothingCounted
    const count = this.kept.get(room) ?? new SharedCount(ts)
    const moment = this.#momentOf(room, ts)
    const returns = this.#costOf(said, count, moment)
    const used = count.usedAt(moment)
    const own = count.ownAt(from, moment)
    const { conversationTurns, conversationOwn } = this.limits
    const isRoomQuiet = this.isQuiet(used, returns, conversationTurns)
    const isOwnQuiet = this.isQuiet(own, returns, conversationOwn)
    if (isRoomQuiet && isOwnQuiet) return nothingCounted
    const counts: Count[] = []
    const add = (scope: string, mine: number, limit: number) => {
      const reason = () =>
        `${Math.round(used)} times somebody came back to speak here and no work was done: finish something, or let an operator decide`
      counts.push({ scope, used: mine, cost: returns, limit, reason, evidence: count.ids })
    }
    if (!isOwnQuiet) add(authorIn(from, room), own, conversationOwn)
    if (isRoomQuiet) return counts
    if (count.isHeavy(from, moment, { cost: returns, limit: conversationTurns }, this.limits))
      add(room, used, conversationTurns)
    return counts
  }

  protected take(said: Traced): void {
    const { room, from, ts, id, isFeed, kind } = said
    if (isFeed && kind !== "status") this.#forgive(room, from, ts)
    if (said.returns === 0) return
    const count = this.kept.get(room) ?? new SharedCount(ts)
    const moment = this.#momentOf(room, ts)
    const returns = this.#costOf(said, count, moment)
    if (returns === 0) return
    count.add(from, returns, id, moment)
    this.kept.set(room, count)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    const { conversationTurns, conversationOwn, conversationRegainMs } = this.limits
    return this.kept.entries().flatMap(([room, count]) => {
      const moment = this.#momentOf(room, ts)
      const own = count.ownAt(agent, moment)
      if (own === 0) return []
      const used = Math.ceil(count.usedAt(moment))
      return [
        { scope: room, used, limit: conversationTurns, freeInMs: conversationRegainMs },
        {
          scope: authorIn(agent, room),
          used: Math.ceil(own),
          limit: conversationOwn,
          freeInMs: Math.ceil(1 / this.#drain.own),
        },
      ]
    })
  }

  protected read(value: unknown): SharedCount | undefined {
    return SharedCount.load(value)
  }

  /** Where somebody is stopped, who took little and goes on talking alone answers nobody any more. */
  #costOf({ from, returns, goesOn }: Traced, count: SharedCount, moment: Moment): number {
    if (!goesOn || returns === 0 || moment.drain !== noDrain) return returns
    return count.isLight(from, moment, this.limits) ? 0 : returns
  }

  /** Who turns out to be a feed, before anybody is stopped, never came back to speak. */
  #forgive(room: string, agent: string, ts: number): void {
    const count = this.kept.get(room)
    const moment = this.#momentOf(room, ts)
    if (count === undefined || count.ownAt(agent, moment) === 0 || moment.drain === noDrain) return
    count.forgive(agent, moment)
    this.kept.set(room, count)
  }

  /** Time gives back what was used, but not to a room in which somebody was stopped and still tries. */
  #momentOf(room: string, ts: number): Moment {
    return { ts, drain: this.#isStuck(room, ts) ? noDrain : this.#drain }
  }

  #isStuck(room: string, ts: number): boolean {
    if (this.stops.isEmpty) return false
    if (this.stops.isRemembered(room, ts)) return true
    for (const agent of this.kept.get(room)?.agents ?? [])
      if (this.stops.isRemembered(authorIn(agent, room), ts)) return true
    return false
  }
}
