import { isNumber, isNumbers, isPlain, isTexts } from "../../base/plain.js"
import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { authorIn, isUnder, othersThan } from "../scopes.js"
import { type Count, pausesOf, StoppingRule, withEvidence } from "./stopping-rule.js"

/** Mentions of one agent by another, oldest first. */
interface Mentions {
  readonly times: readonly number[]
  readonly ids: readonly string[]
}

/** Who is called by name and does not answer, is not called on and on. */
export class MentionsRule extends StoppingRule<Mentions> {
  readonly name = "mentions"
  protected readonly liftedBy = "time"
  /** By `agent in room`: when it last spoke. */
  readonly #spoke = new SavedMap<number>(8_192, 40_000)

  constructor(limits: GuardLimits) {
    const pauses = { ...pausesOf(limits), firstMs: limits.mentionWindowMs }
    super(limits, pauses, new SavedMap<Mentions>(4_096, 50_000))
  }

  override prepare(): boolean {
    return super.prepare() && this.#spoke.prepare()
  }

  override save(): unknown {
    return { base: super.save(), spoke: this.#spoke.save() }
  }

  override load(state: unknown): void {
    if (!isPlain(state)) return
    super.load(state["base"])
    this.#spoke.load(state["spoke"], isNumber)
  }

  protected count(said: Traced): Count[] {
    return this.#mentioned(said).map((target) => {
      const scope = scopeOf(said.from, target, said.room)
      return {
        scope,
        used: this.#recent(scope, said).length,
        cost: 1,
        limit: this.limits.mentionsOfOne,
        reason: () =>
          `${target} was called ${this.limits.mentionsOfOne} times and has not answered: go on without, or ask somebody else`,
        evidence: this.kept.get(scope)?.ids ?? [],
        isLifted: this.#spokeAt(target, said.room) > (this.kept.get(scope)?.times.at(-1) ?? Number.MAX_VALUE),
      }
    })
  }

  protected take(said: Traced): void {
    for (const target of this.#mentioned(said)) {
      const scope = scopeOf(said.from, target, said.room)
      const times = [...this.#recent(scope, said), said.ts].slice(-this.limits.mentionsOfOne)
      this.kept.set(scope, { times, ids: withEvidence(this.kept.get(scope)?.ids ?? [], said.id) })
    }
    if (!said.room.startsWith("#")) return
    this.#spoke.set(authorIn(said.from, said.room), said.ts)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    const { mentionWindowMs, mentionsOfOne: limit } = this.limits
    return this.kept
      .entries()
      .filter(([scope]) => isUnder(scope, agent))
      .map(([scope, { times }]) => {
        const recent = times.filter((time) => ts - time < mentionWindowMs)
        return { scope, used: recent.length, limit, freeInMs: (recent[0] ?? ts) + mentionWindowMs - ts }
      })
      .filter(({ used }) => used > 0)
  }

  protected read(value: unknown): Mentions | undefined {
    return isMentions(value) ? value : undefined
  }

  #mentioned(said: Traced): readonly string[] {
    // What wakes nobody, and a direct message, is no call by name.
    if (!said.room.startsWith("#") || said.kind === "status" || said.kind === "ack") return []
    return othersThan(said.from, said.to, [])
  }

  #spokeAt(agent: string, room: string): number {
    return this.#spoke.get(authorIn(agent, room)) ?? Number.NEGATIVE_INFINITY
  }

  /** Mentions that the target has not answered by anything it said there. */
  #recent(scope: string, { ts, room }: Traced): number[] {
    const target = scope.split(" ")[2] ?? ""
    const answeredAt = this.#spokeAt(target, room)
    return (this.kept.get(scope)?.times ?? []).filter(
      (time) => time > answeredAt && ts - time < this.limits.mentionWindowMs,
    )
  }
}

function scopeOf(from: string, target: string, room: string): string {
  return `${from} to ${target} in ${room}`
}

function isMentions(value: unknown): value is Mentions {
  return isPlain(value) && isNumbers(value["times"]) && isTexts(value["ids"])
}
