import { isNumber, isPlain, isTexts } from "../base/plain.js"
import { persistentIdPattern } from "../protocol/names.js"
import { Cooldowns } from "./cooldowns.js"
import type { Traced } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { pausesOf } from "./rules/stopping-rule.js"
import { SavedMap } from "./saved-map.js"
import { isUnder } from "./scopes.js"
import { digestOf } from "./similar-text.js"

/** How often a text was the first that somebody said, each time not long after the last. */
interface Echo {
  readonly ts: number
  readonly count: number
  readonly ids: readonly string[]
}

/**
 * Agents without a key that come in one after another and begin with exactly the same words are taken for one that
 * crashes and starts again under another id. A fleet of `sameLast` that starts at once is none, and what is said in less
 * than `sameShortWords` words is never counted.
 */
export class AnonymousRepeats {
  readonly #limits: GuardLimits
  readonly #stops: Cooldowns
  /** By room, or agent for direct messages, and digest of the text. */
  readonly #echoes = new SavedMap<Echo>(1_024, 60_000)
  /** The last message looked at: it is checked, then noted. */
  #keyed: { readonly said: Traced; readonly key: string | undefined } | undefined

  constructor(limits: GuardLimits) {
    this.#limits = limits
    this.#stops = new Cooldowns(pausesOf(limits))
  }

  /**
   * Why the first words of somebody in a room are to be refused: for how long, and the messages that led to it.
   * @param isFirst - the author has said nothing there that is remembered
   */
  check(said: Traced, isFirst: boolean): { leftMs: number; ids: readonly string[] } | undefined {
    const key = this.#keyOf(said, isFirst)
    const echo = key === undefined ? undefined : this.#echo(key, said.ts)
    if (key === undefined || echo === undefined) return undefined
    const leftMs = this.#stops.leftMs(key, said.ts)
    if (leftMs > 0) return { leftMs, ids: echo.ids }
    // After a pause one passes.
    if (echo.count < this.#limits.sameLast || this.#stops.isRemembered(key, said.ts)) return undefined
    return { leftMs: this.#stops.nextMs(key, said.ts), ids: echo.ids }
  }

  note(said: Traced, isFirst: boolean): void {
    const key = this.#keyOf(said, isFirst)
    if (key === undefined) return
    const echo = this.#echo(key, said.ts)
    const ids = [...(echo?.ids ?? []), said.id].slice(-10)
    this.#echoes.set(key, { ts: said.ts, count: (echo?.count ?? 0) + 1, ids })
    if (this.#stops.isRemembered(key, said.ts)) this.#stops.stop(key, said.ts)
  }

  refuse(said: Traced): void {
    const key = this.#keyOf(said, true)
    if (key !== undefined) this.#stops.stop(key, said.ts)
  }

  reset(scope: string | undefined): void {
    this.#stops.reset(scope)
    for (const [key] of this.#echoes.entries()) if (isUnder(key, scope)) this.#echoes.delete(key)
  }

  save(): unknown {
    return { stops: this.#stops.save(), echoes: this.#echoes.save() }
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#stops.load(state["stops"])
    this.#echoes.load(state["echoes"], isEcho)
  }

  #keyOf(said: Traced, isFirst: boolean): string | undefined {
    if (!isFirst) return undefined
    if (this.#keyed?.said !== said) this.#keyed = { said, key: this.#makeKey(said) }
    return this.#keyed.key
  }

  #makeKey({ from, to, room, text, kind }: Traced): string | undefined {
    if (kind === "ack" || persistentIdPattern.test(from)) return undefined
    const { hash, words } = digestOf(text)
    // Each of them has direct messages of its own with the same agent.
    const where = room.includes(" ") ? (to[0] ?? room) : room
    return words < this.#limits.sameShortWords ? undefined : `${where} ${hash}`
  }

  /** What is still going on, or is stopped. */
  #echo(key: string, ts: number): Echo | undefined {
    const echo = this.#echoes.get(key)
    if (echo === undefined || this.#stops.isRemembered(key, ts)) return echo
    return ts - echo.ts < this.#limits.sameWindowMs ? echo : undefined
  }
}

function isEcho(value: unknown): value is Echo {
  return isPlain(value) && [value["ts"], value["count"]].every(isNumber) && isTexts(value["ids"])
}
