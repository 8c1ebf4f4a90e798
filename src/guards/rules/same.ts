import { LruMap } from "../../base/lru-map.js"
import { persistentIdPattern } from "../../protocol/names.js"
import { type GuardMessage, pushEvidence } from "../guard-message.js"
import { deleteWhere, formatEntries, loadEntries } from "../saved.js"
import { authorIn, isDirect, isUnder } from "../scopes.js"
import { digestOf } from "../text-digest.js"
import { type Count, noCounts, Rule, type Used } from "./rule.js"

/** The latest messages of one author in one channel, oldest first: ids, times and digests of texts. */
interface History {
  readonly ids: string[]
  readonly times: number[]
  readonly hashes: number[]
  /** Times at which repetitions were dropped. */
  drops: readonly number[]
}

/** A text with which agents without a key began, one after another. */
interface Echo {
  readonly ts: number
  readonly count: number
  readonly ids: string[]
}

/** A message as this rule looks at it. */
interface Looked {
  readonly scope: string
  readonly hash: number
  readonly history: History | undefined
  /** Key of the echo; undefined for an agent with a key or one that has spoken here before, and for a short text. */
  readonly echoKey: string | undefined
}

const noCopies: readonly number[] = []
const historiesKept = 2_048
const echoesKept = 1_024
const historyCharacters = 90_000
const echoCharacters = 25_000

/**
 * Drops a text that its author sent to the same channel within `sameWindowMs`, and stops the author there at the next
 * repetition. Case, punctuation and a few digits in a long text make no difference. Agents without a key that begin with
 * exactly the same words, one after another, are taken for one that crashes and starts again, and are stopped after
 * `sameLast` of them.
 */
export class SameRule extends Rule {
  readonly name = "same"
  readonly liftedBy = "time"
  override readonly warnShare = Number.POSITIVE_INFINITY
  readonly #histories = new LruMap<string, History>(historiesKept)
  /** By channel, or recipient of direct messages, and hash. */
  readonly #echoes = new LruMap<string, Echo>(echoesKept)
  #looked: Looked | undefined

  count(message: GuardMessage): readonly Count[] {
    const { from, channel, text, kind, ts } = message
    const scope = authorIn(from, channel)
    const history = this.#histories.peek(scope)
    this.#looked = undefined
    if (kind === "ack" || this.limits.sameWindowMs === 0) return this.#ownCount(scope, history, noCopies, ts)
    const { hash, words } = digestOf(text, kind === "status")
    const echoKey = history === undefined ? this.#echoKeyOf(message, hash, words) : undefined
    this.#looked = { scope, hash, history, echoKey }
    const copies =
      history?.hashes.includes(hash) === true ? this.#copiesOf(history, hash, words, ts) : noCopies
    const own = this.#ownCount(scope, history, copies, ts)
    return echoKey === undefined ? own : [...own, ...this.#echoCount(echoKey, scope, ts)]
  }

  take({ id, ts }: GuardMessage): void {
    const looked = this.#looked
    if (looked === undefined) return
    if (looked.echoKey !== undefined) this.#takeEcho(looked.echoKey, id, ts)
    const history = looked.history ?? { ids: [], times: [], hashes: [], drops: [] }
    history.ids.push(id)
    history.times.push(ts)
    history.hashes.push(looked.hash)
    if (history.ids.length > this.limits.sameLast) {
      history.ids.shift()
      history.times.shift()
      history.hashes.shift()
    }
    history.drops = this.#recentDrops(history, ts)
    this.#histories.set(looked.scope, history)
  }

  override dropped(ts: number): void {
    const { scope = "", history } = this.#looked ?? {}
    if (history === undefined) return
    history.drops = [...this.#recentDrops(history, ts), ts]
    this.#histories.set(scope, history)
  }

  reasonFor({ scope, used, limit }: Pick<Count, "scope" | "used" | "limit">): string {
    if (!scope.includes(" in "))
      return "agents without a key came in here one after another and said exactly this: if it is one that starts again and again, stop it"
    return used >= limit
      ? "you said the same here again and again: say something new, or nothing, when the time is over"
      : "you said this here just now; it was dropped, and the next repetition stops you here for a while"
  }

  usedBy(agent: string, ts: number): Used[] {
    const { sameDropped: limit, sameWindowMs } = this.limits
    return [...this.#histories]
      .filter(([scope]) => isUnder(scope, agent))
      .map(([scope, history]) => {
        const drops = this.#recentDrops(history, ts)
        return { scope, used: drops.length, limit, freeInMs: (drops[0] ?? ts) + sameWindowMs - ts }
      })
      .filter(({ used }) => used > 0)
  }

  forget(scope: string | undefined): void {
    deleteWhere(this.#histories, (key) => isUnder(key, scope))
    deleteWhere(this.#echoes, (key) => isUnder(key, scope))
  }

  save(): string {
    const histories = formatEntries(this.#histories, historyCharacters)
    return `{"histories":${histories},"echoes":${formatEntries(this.#echoes, echoCharacters)}}`
  }

  load(state: unknown): void {
    const { histories, echoes } = state as Readonly<Record<string, unknown>>
    loadEntries(this.#histories, histories)
    loadEntries(this.#echoes, echoes)
  }

  /** @param copies - places of the same text in the history */
  #ownCount(
    scope: string,
    history: History | undefined,
    copies: readonly number[],
    ts: number,
  ): readonly Count[] {
    if (copies.length === 0 && this.stops.isEmpty) return noCounts
    const { sameDropped: limit, sameWindowMs } = this.limits
    const [first] = copies
    const dropMs = first === undefined ? undefined : (history?.times[first] ?? ts) + sameWindowMs - ts
    const evidence = copies.map((n) => history?.ids[n] ?? "").slice(-10)
    // An author that was stopped for repetitions is stopped at the next one.
    const wasStopped = this.stops.find(this.name, scope, ts) !== undefined
    const used = wasStopped ? limit : this.#recentDrops(history, ts).length
    return [{ scope, used, cost: copies.length > 0 ? 1 : 0, limit, evidence, dropMs }]
  }

  /** Returns the places of a text in its author's history, once there are too many. */
  #copiesOf({ hashes, times }: History, hash: number, words: number, ts: number): readonly number[] {
    const { sameWindowMs, sameShortWords, sameShortCopies } = this.limits
    const copies = hashes.flatMap((known, n) =>
      known === hash && (times[n] ?? 0) > ts - sameWindowMs ? [n] : [],
    )
    return copies.length >= (words < sameShortWords ? sameShortCopies : 1) ? copies : []
  }

  #recentDrops(history: History | undefined, ts: number): readonly number[] {
    const drops = history?.drops ?? []
    return drops.length === 0 ? drops : drops.filter((drop) => ts - drop < this.limits.sameWindowMs)
  }

  #echoKeyOf({ from, channel, to }: GuardMessage, hash: number, words: number): string | undefined {
    if (words < this.limits.sameShortWords || persistentIdPattern.test(from)) return undefined
    // Each of them has direct messages of its own with the same agent.
    return `${isDirect(channel) ? (to[0] ?? channel) : channel} ${hash}`
  }

  #echoCount(echoKey: string, scope: string, ts: number): readonly Count[] {
    const echo = this.#echoAt(echoKey, ts)
    if (echo === undefined) return noCounts
    const { count: used, ids: evidence } = echo
    return [{ scope: echoKey, shown: scope, used, cost: 1, limit: this.limits.sameLast, evidence }]
  }

  #takeEcho(echoKey: string, id: string, ts: number): void {
    const echo = this.#echoAt(echoKey, ts)
    const ids = echo?.ids ?? []
    pushEvidence(ids, id)
    this.#echoes.set(echoKey, { ts, count: (echo?.count ?? 0) + 1, ids })
  }

  /** Returns an echo that goes on, or was stopped. After a pause one of its agents may speak before it is stopped again. */
  #echoAt(key: string, ts: number): Echo | undefined {
    const echo = this.#echoes.peek(key)
    if (echo === undefined) return undefined
    const stop = this.stops.find(this.name, key, ts)
    if (stop === undefined) return ts - echo.ts < this.limits.sameWindowMs ? echo : undefined
    const isFirst = ts >= stop.untilMs && echo.ts < stop.untilMs
    return isFirst ? { ...echo, count: Math.min(echo.count, this.limits.sameLast - 1) } : echo
  }
}
