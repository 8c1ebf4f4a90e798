import { LruMap } from "../../base/lru-map.js"
import type { GuardMessage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries } from "../saved.js"
import { classIn, isUnder } from "../scopes.js"
import { type Drain, type Moment, type SavedCount, SharedCount } from "../shared-count.js"
import { hourMs } from "../stops.js"
import { type Count, noCounts, Rule, type Used } from "./rule.js"

const channelsKept = 1_024
const savedCharacters = 35_000

/**
 * Limits the tokens that one reader of a channel reads there in an hour, estimated as a quarter of the bytes. However many
 * read a channel, its limit is the same, because each of them pays for its own reading. Where it is used up only the
 * authors that took their share of it are stopped.
 */
export class BudgetRule extends Rule {
  readonly name = "budget"
  readonly liftedBy = "operator"
  override readonly warnShare = 0.8
  readonly #drain: Drain = drainOf(this.limits)
  /** By channel, and by shared origin in a channel. */
  readonly #channels = new LruMap<string, SharedCount>(channelsKept)

  save(): string {
    return formatEntries(this.#channels, savedCharacters)
  }

  load(state: unknown): void {
    for (const [channel, value] of state as [string, SavedCount][])
      this.#channels.set(channel, SharedCount.load(this.#drain, value))
  }

  count(message: GuardMessage): readonly Count[] {
    const { channel, from, ts, bytes } = message
    const scope = classIn(message)
    const count = this.#channels.peek(scope)
    const moment = this.#momentOf(scope, ts)
    const limit = this.limits.tokensPerHour
    const cost = tokensOf(bytes)
    const used = count?.usedAt(moment) ?? 0
    if (this.isQuiet(scope, used + cost, limit, ts)) return noCounts
    if (count?.isHeavy(from, moment, cost, limit, this.limits) === false) return noCounts
    return [{ scope, shown: channel, used, cost, limit, evidence: count?.ids ?? [] }]
  }

  take(message: GuardMessage): void {
    const { from, ts, bytes, id } = message
    const scope = classIn(message)
    let count = this.#channels.get(scope)
    if (count === undefined) {
      count = new SharedCount(this.#drain, ts)
      this.#channels.set(scope, count)
    }
    count.add(from, tokensOf(bytes), id, this.#momentOf(scope, ts))
  }

  reasonFor({ used, limit }: Pick<Count, "used" | "limit">): string {
    return `about ${Math.round(used)} tokens were read here in an hour, the limit is ${limit}: write less`
  }

  usedBy(agent: string, ts: number): Used[] {
    const limit = this.limits.tokensPerHour
    return [...this.#channels].flatMap(([scope, count]) => {
      const moment = this.#momentOf(scope, ts)
      if (count.ownAt(agent, moment) === 0) return []
      const used = count.usedAt(moment)
      return [{ scope, used: Math.ceil(used), limit, freeInMs: Math.ceil(used / this.#drain.used) }]
    })
  }

  forget(scope: string | undefined): void {
    deleteWhere(this.#channels, (channel) => isUnder(channel, scope))
  }

  /** A count does not drain while an author is stopped and still tries. */
  #momentOf(channel: string, ts: number): Moment {
    return { ts, isPaused: this.stops.find(this.name, channel, ts) !== undefined }
  }
}

function drainOf({ tokensPerHour }: GuardLimits): Drain {
  const perMs = tokensPerHour / hourMs
  return { used: perMs, own: perMs, addsUp: false }
}

function tokensOf(bytes: number): number {
  return Math.ceil(bytes / 4)
}
