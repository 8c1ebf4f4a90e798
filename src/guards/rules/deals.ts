import { LruMap } from "../../base/lru-map.js"
import { formatEntries, loadEntries } from "../saved.js"
import { towards } from "../scopes.js"
import { type Count, noCounts, type Used, WindowRule } from "./rule.js"

/** A statement of a deal that counts. Agents are ids with `@`. */
export interface DealStep {
  /** `msg_id`. */
  readonly id: string
  readonly verb: "PROPOSAL" | "REJECT" | "COMPLETE"
  /** Id of the proposal. */
  readonly deal: string
  readonly from: string
  readonly to: string
}

const stepsKept = 2_048
const savedCharacters = 20_000

/**
 * Refuses a proposal after `dealTurns` proposals between two agents within a day that led to nothing. A rejected proposal
 * counts twice, one whose deal is completed not at all. Only the agent that made half of them or more is stopped, and
 * neither messages nor the other statements of a deal are refused. The windows are named `@author to @other`.
 */
export class DealsRule extends WindowRule {
  readonly name = "deals"
  readonly liftedBy = "progress"
  protected readonly limit = this.limits.dealTurns
  protected readonly windowMs = this.limits.slowWindowMs
  /** Steps counted, by deal and verb: several relays may report the same one. */
  readonly #steps = new LruMap<string, 1>(stepsKept)

  /** Messages are no proposals. */
  count(): readonly Count[] {
    return noCounts
  }

  take(): void {
    // Nothing of a message is counted.
  }

  /** Returns the count of two agents, for the one that proposes now. */
  countProposal({ from, to }: Pick<DealStep, "from" | "to">, ts: number): readonly Count[] {
    const scope = towards(from, to)
    const own = this.usedIn(scope, ts)
    const used = own + this.usedIn(towards(to, from), ts)
    const isOver = used + 1 > this.limit
    // The agent that made fewer of them is not stopped.
    const cost = isOver && own < used / 2 ? 0 : 1
    return [{ scope, used, cost, limit: this.limit, evidence: this.windows.peek(scope)?.ids ?? [] }]
  }

  /** Reports whether a step of a deal was counted. */
  knows({ deal, verb }: Pick<DealStep, "deal" | "verb">): boolean {
    return this.#steps.has(`${deal} ${verb}`)
  }

  /** Counts a step. */
  takeStep({ id, verb, deal, from, to }: DealStep, ts: number): void {
    this.#steps.set(`${deal} ${verb}`, 1)
    if (verb === "COMPLETE") this.#takeBack(from, to, ts)
    else if (verb === "PROPOSAL") this.add(towards(from, to), 1, { id, ts, from })
    else this.add(towards(to, from), 1, { id, ts, from: to })
  }

  reasonFor({ used }: Pick<Count, "used">): string {
    return `${Math.round(used)} turns in a day of proposals between you two that came to nothing: finish a deal, or settle first what the next one is to be`
  }

  override usedBy(agent: string, ts: number): Used[] {
    return super.usedBy(agent, ts).map((row) => {
      const [author = "", , other = ""] = row.scope.split(" ")
      return { ...row, used: row.used + this.usedIn(towards(other, author), ts) }
    })
  }

  override save(): string {
    return `{"turns":${super.save()},"steps":${formatEntries(this.#steps, savedCharacters)}}`
  }

  override load(state: unknown): void {
    const { turns, steps } = state as Readonly<Record<string, unknown>>
    super.load(turns)
    loadEntries(this.#steps, steps)
  }

  /** A completed deal takes back a turn; it does not say whose, so the agent with more turns loses it. */
  #takeBack(one: string, other: string, ts: number): void {
    const scopes = [towards(one, other), towards(other, one)] as const
    const scope = this.usedIn(scopes[0], ts) >= this.usedIn(scopes[1], ts) ? scopes[0] : scopes[1]
    const turns = this.windows.peek(scope)
    if (turns !== undefined) turns.used = Math.max(0, turns.used - 1)
  }
}
