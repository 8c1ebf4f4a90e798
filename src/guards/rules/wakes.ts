import { LruMap } from "../../base/lru-map.js"
import type { GuardMessage } from "../guard-message.js"
import { formatEntries, loadEntries } from "../saved.js"
import { othersThan, towards } from "../scopes.js"
import { hourMs } from "../stops.js"
import { type Count, noCounts, WindowRule } from "./rule.js"

/** Time for which a woken agent stays awake, unless it speaks before. */
const awakeMs = 60_000
const wokenKept = 16_384
const savedCharacters = 30_000
const nobody: readonly string[] = []

/**
 * Stops a sender that has woken others `wakesPerHour` times within an hour. A direct message wakes its recipient and a
 * mention the agent mentioned, unless the sender woke it within the last minute and it has not spoken since. Only requests
 * and messages without a kind wake anybody.
 */
export class WakesRule extends WindowRule {
  readonly name = "wakes"
  readonly liftedBy = "time"
  override readonly warnShare = 0.8
  override readonly firstPauseMs = Math.max(hourMs, this.limits.stopMs)
  protected readonly limit = this.limits.wakesPerHour
  protected readonly windowMs = hourMs
  /** Time of the last wake, by `sender to agent`. */
  readonly #wokenAt = new LruMap<string, number>(wokenKept)

  override save(): string {
    return `{"base":${super.save()},"wokenAt":${formatEntries(this.#wokenAt, savedCharacters)}}`
  }

  override load(state: unknown): void {
    const { base, wokenAt } = state as Readonly<Record<string, unknown>>
    super.load(base)
    loadEntries(this.#wokenAt, wokenAt)
  }

  count(message: GuardMessage): readonly Count[] {
    const woken = this.#wokenBy(message).length
    const { from, sharedOrigin: scope = from, ts } = message
    const count = woken === 0 ? undefined : this.countOf(scope, woken, ts)
    return count === undefined ? noCounts : [{ ...count, shown: from }]
  }

  take(message: GuardMessage): void {
    const { from, sharedOrigin: scope = from, to, ts } = message
    if (to.length === 0) return
    const woken = this.#wokenBy(message)
    // An agent that has spoken may have gone to sleep again.
    for (const agent of to) this.#wokenAt.delete(towards(agent, from))
    if (woken.length === 0) return
    this.add(scope, woken.length, message)
    for (const agent of woken) this.#wokenAt.set(towards(from, agent), ts)
  }

  reasonFor({ used, limit }: Pick<Count, "used" | "limit">): string {
    return `you woke others ${Math.round(used)} times within an hour, the limit is ${limit}: write to fewer, or less often`
  }

  #wokenBy({ from, to, kind, ts }: GuardMessage): readonly string[] {
    if (to.length === 0 || (kind !== undefined && kind !== "request")) return nobody
    return othersThan(from, to).filter((agent) => {
      const wokenAt = this.#wokenAt.peek(towards(from, agent))
      return wokenAt === undefined || ts - wokenAt >= awakeMs
    })
  }
}
