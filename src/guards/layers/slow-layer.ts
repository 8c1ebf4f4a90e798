import type { GuardLimits } from "../guard-limits.js"
import { isNumber, isPlain, isTexts } from "../plain.js"
import { Recent } from "../recent.js"
import type { Traced, Usage } from "../said.js"
import { isUnder, pairOf } from "../scopes.js"
import { type Count, pausesOf, StoppingLayer, withEvidence } from "./stopping-layer.js"

/** Turns in parts of a day. */
interface Day {
  /** The part, and the turns in it. */
  readonly parts: readonly (readonly [part: number, turns: number])[]
  readonly ids: readonly string[]
  /** Of a room: who took turns, and how many. */
  readonly speakers: readonly (readonly [agent: string, turns: number])[]
}

/** Parts of the window that are counted apart. */
const partsOfWindow = 24
const speakersKept = 64

/** Loops so slow that no other layer sees them: what a pair and a room of several may say to each other in a day. */
export class SlowLayer extends StoppingLayer<Day> {
  readonly name = "slow"
  protected readonly liftedBy = "progress"

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new Recent<Day>(4_096, 90_000))
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) {
      for (const [scope, day] of this.kept.entries()) {
        if (isUnder(scope, agent)) this.kept.delete(scope)
        else if (day.speakers.some(([id]) => id === agent)) this.kept.set(scope, withoutSpeaker(day, agent))
      }
      this.stops.reset(agent)
    }
  }

  spoke(room: string): void {
    this.reset(room)
  }

  protected count(said: Traced): Count[] {
    const targets = new Set([...said.to, ...said.turnsWith])
    targets.delete(said.from)
    const pairs = [...targets].map((target) =>
      this.#countOf(pairOf(said.from, target), said, {
        cost: said.turnsWith.includes(target) ? 1 : 0,
        limit: this.limits.slowPairTurns,
      }),
    )
    const speakers = this.kept.get(said.room)?.speakers ?? []
    const own = speakers.find(([agent]) => agent === said.from)?.[1] ?? 0
    const turns = speakers.reduce((sum, [, each]) => sum + each, 0)
    if (said.room.includes(" ") || speakers.length < this.limits.slowRoomSpeakers) return pairs
    if (own === 0 || own + 1 < turns / speakers.length) return pairs
    const cost = said.returns > 0 ? 1 : 0
    return [...pairs, this.#countOf(said.room, said, { cost, limit: this.limits.slowRoomTurns })]
  }

  protected take(said: Traced): void {
    for (const target of said.turnsWith) this.#add(pairOf(said.from, target), said, [])
    if (said.returns === 0 || said.room.includes(" ")) return
    const before = this.kept.get(said.room)?.speakers ?? []
    const own = before.find(([agent]) => agent === said.from)?.[1] ?? 0
    const others = before.filter(([agent]) => agent !== said.from).slice(1 - speakersKept)
    this.#add(said.room, said, [...others, [said.from, own + 1]])
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    return this.kept
      .entries()
      .filter(([scope, { speakers }]) => isUnder(scope, agent) || speakers.some(([id]) => id === agent))
      .map(([scope, { speakers }]) => ({
        scope,
        used: this.#turns(scope, ts),
        limit: speakers.length > 0 ? this.limits.slowRoomTurns : this.limits.slowPairTurns,
        freeInMs: this.limits.slowWindowMs / partsOfWindow,
      }))
      .filter(({ used }) => used > 0)
  }

  protected isKept(value: unknown): value is Day {
    return (
      isPlain(value) &&
      isRows(value["parts"], isNumber) &&
      isRows(value["speakers"], (id) => typeof id === "string") &&
      isTexts(value["ids"])
    )
  }

  #countOf(scope: string, said: Traced, { cost, limit }: Pick<Count, "cost" | "limit">): Count {
    return {
      scope,
      used: this.#turns(scope, said.ts),
      cost,
      limit,
      reason: `${limit} turns in a day and no work was done: finish something, or let an operator decide`,
      evidence: this.kept.get(scope)?.ids ?? [],
    }
  }

  #partOf(ts: number): number {
    return Math.floor((ts / this.limits.slowWindowMs) * partsOfWindow)
  }

  #recent(scope: string, ts: number): Day["parts"] {
    const oldest = this.#partOf(ts) - partsOfWindow
    return (this.kept.get(scope)?.parts ?? []).filter(([part]) => part > oldest)
  }

  #turns(scope: string, ts: number): number {
    return this.#recent(scope, ts).reduce((sum, [, turns]) => sum + turns, 0)
  }

  #add(scope: string, said: Traced, speakers: Day["speakers"]): void {
    const now = this.#partOf(said.ts)
    const parts = this.#recent(scope, said.ts)
    const turns = parts.find(([part]) => part === now)?.[1] ?? 0
    this.kept.set(scope, {
      parts: [...parts.filter(([part]) => part !== now), [now, turns + 1]],
      ids: withEvidence(this.kept.get(scope)?.ids ?? [], said.id),
      // Nothing of a day that is over counts in who spoke most.
      speakers: parts.length === 0 ? speakers.slice(-1) : speakers,
    })
  }
}

function withoutSpeaker(day: Day, agent: string): Day {
  const own = day.speakers.find(([id]) => id === agent)?.[1] ?? 0
  const all = day.speakers.reduce((sum, [, turns]) => sum + turns, 0)
  const parts = day.parts.map(([part, turns]) => [part, turns * (1 - own / all)] as const)
  return { ...day, parts, speakers: day.speakers.filter(([id]) => id !== agent) }
}

function isRows(value: unknown, isFirst: (first: unknown) => boolean): boolean {
  if (!Array.isArray(value)) return false
  return value.every((row: unknown) => {
    if (!Array.isArray(row) || row.length !== 2) return false
    const [first, second] = row as unknown[]
    return isFirst(first) && isNumber(second)
  })
}
