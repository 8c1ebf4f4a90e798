import { LruMap } from "../../base/lru-map.js"
import { isPlain } from "../../base/plain.js"
import type { GuardMessage, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, readEntries } from "../saved.js"
import { isUnder } from "../scopes.js"
import { type Drain, type Moment, SharedCount } from "../shared-count.js"
import { type Count, noCounts, StoppingRule } from "./rule.js"

const channelsKept = 1_024
const savedCharacters = 35_000
const hourMs = 3_600_000

/**
 * Limits the tokens that one reader of a channel reads there in an hour, estimated as a quarter of the bytes. However many
 * read a channel, its limit is the same, because each of them pays for its own reading. Where it is used up only the
 * authors that took their share of it are stopped.
 */
export class BudgetRule extends StoppingRule {
  readonly name = "budget"
  protected readonly liftedBy = "operator"
  protected override readonly warnShare = 0.8
  readonly #drain: Drain
  readonly #channels = new LruMap<string, SharedCount>(channelsKept)

  constructor(limits: GuardLimits) {
    super(limits)
    const perMs = limits.tokensPerHour / hourMs
    this.#drain = { used: perMs, own: perMs, addsUp: false }
  }

  operatorSpoke(channel: string): void {
    this.reset(channel)
  }

  save(): string {
    return `{"stops":${this.stops.save()},"channels":${formatEntries(this.#channels, savedCharacters)}}`
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.stops.load(state["stops"])
    readEntries(this.#channels, state["channels"], (value) => SharedCount.load(this.#drain, value))
  }

  protected count({ channel, from, ts, bytes }: GuardMessage): readonly Count[] {
    const count = this.#channels.peek(channel)
    const moment = this.#momentOf(channel, ts)
    const limit = this.limits.tokensPerHour
    const cost = tokensOf(bytes)
    const used = count?.usedAt(moment) ?? 0
    if (this.isQuiet(channel, used + cost, limit)) return noCounts
    if (count?.isHeavy(from, moment, cost, limit, this.limits) === false) return noCounts
    return [{ scope: channel, used, cost, limit, evidence: count?.ids ?? [] }]
  }

  protected take({ channel, from, ts, bytes, id }: GuardMessage): void {
    let count = this.#channels.get(channel)
    if (count === undefined) {
      count = new SharedCount(this.#drain, ts)
      this.#channels.set(channel, count)
    }
    count.add(from, tokensOf(bytes), id, this.#momentOf(channel, ts))
  }

  protected reasonFor({ used, cost, limit }: Count): string {
    return `about ${Math.round(used + cost)} tokens are read here in an hour, the limit is ${limit}: write less`
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    const limit = this.limits.tokensPerHour
    return [...this.#channels].flatMap(([scope, count]) => {
      const moment = this.#momentOf(scope, ts)
      if (count.ownAt(agent, moment) === 0) return []
      const used = count.usedAt(moment)
      return [{ scope, used: Math.ceil(used), limit, freeInMs: Math.ceil(used / this.#drain.used) }]
    })
  }

  protected forget(scope: string | undefined): void {
    deleteWhere(this.#channels, (channel) => isUnder(channel, scope))
  }

  /** A count does not drain while an author is stopped and still tries. */
  #momentOf(channel: string, ts: number): Moment {
    return { ts, isPaused: this.stops.isRemembered(channel, ts) }
  }
}

function tokensOf(bytes: number): number {
  return Math.ceil(bytes / 4)
}
