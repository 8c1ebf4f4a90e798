import { isNumber, isPlain, isTexts } from "../../base/plain.js"
import type { Traced, Usage } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { SavedMap } from "../saved-map.js"
import { othersThan, towards } from "../scopes.js"
import { type Count, nothingCounted, pausesOf, StoppingRule, withEvidence } from "./stopping-rule.js"

/** What one sender used of its hour. */
interface Wakes {
  readonly ts: number
  readonly used: number
  readonly ids: readonly string[]
}

const nobody: readonly string[] = []
const hourMs = 3_600_000
/** An agent that was woken is awake this long, if it says nothing before. */
const awakeMs = 60_000

/** Agents woken by one sender: who is awake already because of it is not woken again by the next line. */
export class WakesRule extends StoppingRule<Wakes> {
  readonly name = "wakes"
  protected readonly liftedBy = "time"
  protected override readonly warnShare = 0.8
  /** By `sender target`: when it was last woken so. */
  readonly #woken = new SavedMap<number>(16_384, 50_000)

  constructor(limits: GuardLimits) {
    super(limits, pausesOf(limits), new SavedMap<Wakes>(4_096, 50_000))
  }

  override prepare(): boolean {
    return super.prepare() && this.#woken.prepare()
  }

  override save(): unknown {
    return { base: super.save(), woken: this.#woken.save() }
  }

  override load(state: unknown): void {
    if (!isPlain(state)) return
    super.load(state["base"])
    this.#woken.load(state["woken"], isNumber)
  }

  protected count(said: Traced): readonly Count[] {
    const cost = this.#wokenBy(said).length
    if (cost === 0) return nothingCounted
    const limit = this.limits.wakesPerHour
    const { used, ids } = this.#at(said.from, said.ts)
    const reason = () =>
      `you woke others ${Math.round(used)} times within an hour, ${limit} times you may: write to fewer, or less often`
    return [{ scope: said.from, used, cost, limit, reason, evidence: ids }]
  }

  protected take(said: Traced): void {
    this.#woken.forgetWhile((wokenAt) => said.ts - wokenAt >= awakeMs)
    // Who has spoken may have gone to sleep again.
    for (const target of said.to) this.#woken.delete(towards(target, said.from))
    const woken = this.#wokenBy(said)
    if (woken.length === 0) return
    const { used, ids } = this.#at(said.from, said.ts)
    this.kept.set(said.from, { ts: said.ts, used: used + woken.length, ids: withEvidence(ids, said.id) })
    for (const target of woken) this.#woken.set(towards(said.from, target), said.ts)
  }

  protected usedBy(agent: string, ts: number): Omit<Usage, "layer" | "isTripped">[] {
    const used = Math.ceil(this.#at(agent, ts).used)
    const limit = this.limits.wakesPerHour
    return used === 0 ? [] : [{ scope: agent, used, limit, freeInMs: Math.ceil(hourMs / limit) }]
  }

  protected read(value: unknown): Wakes | undefined {
    return isWakes(value) ? value : undefined
  }

  #wokenBy(said: Traced): readonly string[] {
    if (said.to.length === 0 || (said.kind !== undefined && said.kind !== "request")) return nobody
    return othersThan(said.from, said.to, []).filter((target) => {
      const wokenAt = this.#woken.get(towards(said.from, target))
      return wokenAt === undefined || said.ts - wokenAt >= awakeMs
    })
  }

  #at(sender: string, ts: number): Wakes {
    const wakes = this.kept.get(sender)
    if (wakes === undefined) return { ts, used: 0, ids: [] }
    const drained = (Math.max(0, ts - wakes.ts) * this.limits.wakesPerHour) / hourMs
    return { ...wakes, ts: Math.max(ts, wakes.ts), used: Math.max(0, wakes.used - drained) }
  }
}

function isWakes(value: unknown): value is Wakes {
  return isPlain(value) && isNumber(value["ts"]) && isNumber(value["used"]) && isTexts(value["ids"])
}
