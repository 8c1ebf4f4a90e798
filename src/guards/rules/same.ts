import { isPlain } from "../../base/plain.js"
import { AnonymousRepeats } from "../anonymous-repeats.js"
import { Cooldowns } from "../cooldowns.js"
import type { Rule, Traced, Trip, Usage } from "../guard-message.js"
import { History, wordForWord } from "../history.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { authorIn, isUnder } from "../scopes.js"
import { sketchOf } from "../similar-text.js"
import { pausesOf } from "./stopping-rule.js"

/** Characters of histories that are made at once; each sketch in them has to be made whole. */
const preparedAtOnce = 4_000

const noCopies: ReturnType<History["copiesOf"]> = []

/** Who says again and again what was said: first the repetition is dropped, then its author is stopped in that room. */
export class SameRule implements Rule {
  readonly name = "same" as const
  readonly #limits: GuardLimits
  readonly #histories = new SavedMap<History>(2_048, 120_000)
  readonly #stops: Cooldowns
  readonly #strangers: AnonymousRepeats

  constructor(limits: GuardLimits) {
    this.#limits = limits
    this.#stops = new Cooldowns(pausesOf(limits))
    this.#strangers = new AnonymousRepeats(limits)
  }

  check(said: Traced): Trip | undefined {
    const scope = scopeOf(said)
    const stoppedMs = this.#stops.leftMs(scope, said.ts)
    const copies = this.#copiesOf(said)
    if (stoppedMs === 0 && copies.length === 0) return this.#checkStranger(said)
    const isLast = this.#drops(scope, said.ts).length >= this.#limits.sameDropped
    const nextMs = isLast
      ? this.#stops.nextMs(scope, said.ts)
      : (copies[0]?.ts ?? said.ts) + this.#limits.sameWindowMs - said.ts
    return {
      layer: this.name,
      scope,
      reason:
        stoppedMs > 0 || isLast
          ? "you said the same here again and again: say something new, or nothing, when the time is over"
          : "you said this here just now; it was dropped, and the next repetition stops you here for a while",
      retryAfterMs: stoppedMs > 0 ? stoppedMs : nextMs,
      liftedBy: "time",
      evidence: copies.map(({ id }) => id).slice(-10),
    }
  }

  note(said: Traced): undefined {
    if (said.kind === "ack" || this.#limits.sameWindowMs === 0) return
    const scope = scopeOf(said)
    const known = this.#histories.get(scope)
    this.#strangers.note(said, known === undefined)
    const history = known ?? new History()
    history.add(said.id, said.ts, sketchOf(said.text), this.#limits.sameLast)
    history.drops = this.#drops(scope, said.ts)
    this.#histories.set(scope, history)
  }

  refuse(said: Traced): void {
    const scope = scopeOf(said)
    if (this.#stops.leftMs(scope, said.ts) > 0) return
    const history = this.#histories.get(scope)
    // Nobody repeats what it has not said: it is what others said before it.
    if (history === undefined) {
      this.#strangers.refuse(said)
      return
    }
    const drops = this.#drops(scope, said.ts)
    if (drops.length >= this.#limits.sameDropped) this.#stops.stop(scope, said.ts)
    else {
      history.drops = [...drops, said.ts]
      this.#histories.set(scope, history)
    }
  }

  reset(scope: string | undefined): void {
    this.#stops.reset(scope)
    this.#strangers.reset(scope)
    for (const [key] of this.#histories.entries()) if (isUnder(key, scope)) this.#histories.delete(key)
  }

  usage(agent: string, ts: number): Usage[] {
    const { sameDropped: limit, sameWindowMs } = this.#limits
    return this.#histories
      .entries()
      .filter(([scope]) => isUnder(scope, agent))
      .map(([scope]) => {
        const drops = this.#drops(scope, ts)
        const leftMs = this.#stops.leftMs(scope, ts)
        const freeInMs = leftMs > 0 ? leftMs : (drops[0] ?? ts) + sameWindowMs - ts
        return { layer: this.name, scope, used: drops.length, limit, freeInMs, isTripped: leftMs > 0 }
      })
      .filter(({ used, isTripped }) => used > 0 || isTripped)
  }

  prepare(): boolean {
    return this.#histories.prepare(preparedAtOnce)
  }

  save(): unknown {
    return {
      stops: this.#stops.save(),
      strangers: this.#strangers.save(),
      histories: this.#histories.save(),
    }
  }

  load(state: unknown): void {
    if (!isPlain(state)) return
    this.#stops.load(state["stops"])
    this.#strangers.load(state["strangers"])
    this.#histories.read(state["histories"], (value) => History.load(value))
  }

  #checkStranger(said: Traced): Trip | undefined {
    const scope = scopeOf(said)
    const found = this.#strangers.check(said, this.#histories.get(scope) === undefined)
    return (
      found && {
        layer: this.name,
        scope,
        reason:
          "agents without a key came in here one after another and said exactly this: if it is one that starts again and again, stop it",
        retryAfterMs: found.leftMs,
        liftedBy: "time",
        evidence: found.ids,
      }
    )
  }

  /** What the author said of the same here, once that is too often. */
  #copiesOf(said: Traced): ReturnType<History["copiesOf"]> {
    const history = said.kind === "ack" ? undefined : this.#histories.get(scopeOf(said))
    if (history === undefined) return noCopies
    const { sameSimilarity, sameWindowMs, sameShortWords, sameShortCopies } = this.#limits
    const sketch = sketchOf(said.text)
    const least = said.kind === "status" ? wordForWord : sameSimilarity
    const copies = history.copiesOf(sketch, said.ts - sameWindowMs, least)
    return copies.length >= (sketch.words < sameShortWords ? sameShortCopies : 1) ? copies : noCopies
  }

  #drops(scope: string, ts: number): readonly number[] {
    const drops = this.#histories.get(scope)?.drops ?? []
    return drops.length === 0 ? drops : drops.filter((drop) => ts - drop < this.#limits.sameWindowMs)
  }
}

function scopeOf({ from, room }: Traced): string {
  return authorIn(from, room)
}
