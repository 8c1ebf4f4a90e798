import { LruMap } from "../../base/lru-map.js"
import { isNumber, isNumbers, isPlain, isStrings } from "../../base/plain.js"
import { persistentIdPattern } from "../../protocol/names.js"
import { type GuardMessage, pushEvidence, type Trip, type Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { deleteWhere, formatEntries, readEntries } from "../saved.js"
import { authorIn, isDirect, isUnder } from "../scopes.js"
import { Stops } from "../stops.js"
import { digestOf } from "../text-digest.js"
import type { MessageRule } from "./rule.js"

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
  readonly message: GuardMessage
  readonly scope: string
  readonly hash: number
  readonly words: number
  readonly history: History | undefined
  /** Key of the echo; undefined for an agent with a key or one that has spoken here before, and for a short text. */
  readonly echoKey: string | undefined
}

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
export class SameRule implements MessageRule {
  readonly name = "same" as const
  readonly #limits: GuardLimits
  readonly #histories = new LruMap<string, History>(historiesKept)
  readonly #stops: Stops
  /** By channel, or recipient of direct messages, and hash. */
  readonly #echoes = new LruMap<string, Echo>(echoesKept)
  readonly #echoStops: Stops
  #looked: Looked | undefined

  constructor(limits: GuardLimits) {
    this.#limits = limits
    this.#stops = new Stops(limits)
    this.#echoStops = new Stops(limits)
  }

  check(message: GuardMessage): Trip | undefined {
    const looked = this.#lookAt(message)
    this.#looked = looked
    const { scope, history } = looked
    const { ts } = message
    const stoppedMs = this.#stops.isEmpty ? 0 : this.#stops.leftMs(scope, ts)
    const copies = this.#copiesOf(looked)
    const [first] = copies
    if (stoppedMs === 0 && first === undefined) return this.#checkEcho(looked)
    const isLast = this.#recentDrops(history, ts).length >= this.#limits.sameDropped
    const nextMs = isLast
      ? this.#stops.nextMs(scope, ts)
      : (history?.times[first ?? 0] ?? ts) + this.#limits.sameWindowMs - ts
    return {
      layer: this.name,
      scope,
      reason:
        stoppedMs > 0 || isLast
          ? "you said the same here again and again: say something new, or nothing, when the time is over"
          : "you said this here just now; it was dropped, and the next repetition stops you here for a while",
      retryAfterMs: stoppedMs > 0 ? stoppedMs : nextMs,
      liftedBy: "time",
      evidence: copies.map((n) => history?.ids[n] ?? "").slice(-10),
    }
  }

  note({ id, ts, kind }: GuardMessage): undefined {
    const looked = this.#looked
    if (looked === undefined || kind === "ack" || this.#limits.sameWindowMs === 0) return
    this.#noteEcho(looked, id, ts)
    const history = looked.history ?? { ids: [], times: [], hashes: [], drops: [] }
    history.ids.push(id)
    history.times.push(ts)
    history.hashes.push(looked.hash)
    if (history.ids.length > this.#limits.sameLast) {
      history.ids.shift()
      history.times.shift()
      history.hashes.shift()
    }
    history.drops = this.#recentDrops(history, ts)
    this.#histories.set(looked.scope, history)
  }

  refuse({ ts }: GuardMessage): void {
    const { scope, history, echoKey } = this.#looked ?? { scope: "" }
    if (this.#stops.leftMs(scope, ts) > 0) return
    // Without a history the message repeats what others said.
    if (history === undefined) {
      if (echoKey !== undefined) this.#echoStops.stop(echoKey, ts)
      return
    }
    const drops = this.#recentDrops(history, ts)
    if (drops.length >= this.#limits.sameDropped) this.#stops.stop(scope, ts)
    else history.drops = [...drops, ts]
    this.#histories.set(scope, history)
  }

  reset(scope: string | undefined): void {
    this.#stops.reset(scope)
    this.#echoStops.reset(scope)
    deleteWhere(this.#histories, (key) => isUnder(key, scope))
    deleteWhere(this.#echoes, (key) => isUnder(key, scope))
  }

  usage(agent: string, ts: number): Usage[] {
    const { sameDropped: limit, sameWindowMs } = this.#limits
    return [...this.#histories]
      .filter(([scope]) => isUnder(scope, agent))
      .map(([scope, history]) => {
        const drops = this.#recentDrops(history, ts)
        const leftMs = this.#stops.leftMs(scope, ts)
        const freeInMs = leftMs > 0 ? leftMs : (drops[0] ?? ts) + sameWindowMs - ts
        return { layer: this.name, scope, used: drops.length, limit, freeInMs, isTripped: leftMs > 0 }
      })
      .filter(({ used, isTripped }) => used > 0 || isTripped)
  }

  save(): string {
    const histories = formatEntries(this.#histories, historyCharacters)
    const echoes = formatEntries(this.#echoes, echoCharacters)
    return `{"stops":${this.#stops.save()},"echoStops":${this.#echoStops.save()},"histories":${histories},"echoes":${echoes}}`
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#stops.load(state["stops"])
    this.#echoStops.load(state["echoStops"])
    readEntries(this.#histories, state["histories"], (value) => (isHistory(value) ? value : undefined))
    readEntries(this.#echoes, state["echoes"], (value) => (isEcho(value) ? value : undefined))
  }

  #lookAt(message: GuardMessage): Looked {
    const { from, channel, to, text, kind } = message
    const scope = authorIn(from, channel)
    const history = this.#histories.peek(scope)
    if (kind === "ack") return { message, scope, hash: 0, words: 0, history, echoKey: undefined }
    const { hash, words } = digestOf(text, kind === "status")
    const isCounted =
      history === undefined && words >= this.#limits.sameShortWords && !persistentIdPattern.test(from)
    // Each of them has direct messages of its own with the same agent.
    const where = isDirect(channel) ? (to[0] ?? channel) : channel
    return { message, scope, hash, words, history, echoKey: isCounted ? `${where} ${hash}` : undefined }
  }

  /** Returns the places of the same text in its author's history, once there are too many. */
  #copiesOf({ message: { ts, kind }, hash, words, history }: Looked): readonly number[] {
    if (history === undefined || kind === "ack" || !history.hashes.includes(hash)) return []
    const { sameWindowMs, sameShortWords, sameShortCopies } = this.#limits
    const copies = history.hashes.flatMap((known, n) =>
      known === hash && (history.times[n] ?? 0) > ts - sameWindowMs ? [n] : [],
    )
    return copies.length >= (words < sameShortWords ? sameShortCopies : 1) ? copies : []
  }

  #recentDrops(history: History | undefined, ts: number): readonly number[] {
    const drops = history?.drops ?? []
    return drops.length === 0 ? drops : drops.filter((drop) => ts - drop < this.#limits.sameWindowMs)
  }

  #checkEcho({ scope, echoKey, message: { ts } }: Looked): Trip | undefined {
    const echo = echoKey === undefined ? undefined : this.#echoAt(echoKey, ts)
    if (echoKey === undefined || echo === undefined) return undefined
    const leftMs = this.#echoStops.leftMs(echoKey, ts)
    // One passes after each pause.
    if (leftMs === 0 && (echo.count < this.#limits.sameLast || this.#echoStops.isRemembered(echoKey, ts)))
      return undefined
    return {
      layer: this.name,
      scope,
      reason:
        "agents without a key came in here one after another and said exactly this: if it is one that starts again and again, stop it",
      retryAfterMs: leftMs > 0 ? leftMs : this.#echoStops.nextMs(echoKey, ts),
      liftedBy: "time",
      evidence: echo.ids.slice(),
    }
  }

  #noteEcho({ echoKey }: Looked, id: string, ts: number): void {
    if (echoKey === undefined) return
    const echo = this.#echoAt(echoKey, ts)
    const ids = echo?.ids ?? []
    pushEvidence(ids, id)
    this.#echoes.set(echoKey, { ts, count: (echo?.count ?? 0) + 1, ids })
    if (this.#echoStops.isRemembered(echoKey, ts)) this.#echoStops.stop(echoKey, ts)
  }

  /** Returns an echo that goes on, or is stopped. */
  #echoAt(key: string, ts: number): Echo | undefined {
    const echo = this.#echoes.peek(key)
    if (echo === undefined || this.#echoStops.isRemembered(key, ts)) return echo
    return ts - echo.ts < this.#limits.sameWindowMs ? echo : undefined
  }
}

function isHistory(value: unknown): value is History {
  if (!isPlain(value)) return false
  const { ids, times, hashes, drops } = value
  return (
    isStrings(ids) &&
    isNumbers(times) &&
    isNumbers(hashes) &&
    isNumbers(drops) &&
    ids.length === times.length &&
    ids.length === hashes.length
  )
}

function isEcho(value: unknown): value is Echo {
  return isPlain(value) && [value["ts"], value["count"]].every(isNumber) && isStrings(value["ids"])
}
