import { Guard } from "../../src/guards/guard.js"
import type { GuardMessage, RuleName, Trip, Warning } from "../../src/guards/guard-message.js"
import { defaultGuardLimits, type GuardLimits } from "../../src/guards/limits.js"

/** The fields of a message that a test sets; the rest is filled in. */
export type Draft = Partial<GuardMessage> & { readonly from: string; readonly at: number }

/** A guard and a relay that asks it, with no clock but the times of the messages. */
export class GuardRoom {
  readonly limits: GuardLimits
  readonly #only: readonly RuleName[] | undefined
  warnings: Warning[] = []
  guard: Guard
  #count = 0

  constructor(only?: readonly RuleName[], limits: Partial<GuardLimits> = {}) {
    this.limits = { ...defaultGuardLimits, ...limits }
    this.#only = only
    this.guard = new Guard(this.limits, only)
  }

  /** Says something in `#room`, or where the draft says; gives why it was refused. */
  say({ at, ...draft }: Draft): Trip | undefined {
    const said = this.said({ at, ...draft })
    const trip = this.guard.check(said)
    if (trip === undefined) this.warnings.push(...this.guard.note(said))
    else this.guard.refuse(said, trip)
    return trip
  }

  said({ at, ...draft }: Draft): GuardMessage {
    const n = ++this.#count
    const text = draft.text ?? `number ${n} says something that nobody has ever said, ${n * 7919} times`
    const [other] = draft.to ?? []
    const channel = draft.channel ?? (other === undefined ? "#room" : [draft.from, other].sort().join(" "))
    return { id: `m${n}`, to: [], bytes: 100 + text.length, ...draft, ts: at, channel, text }
  }

  restart(): void {
    this.guard = Guard.load(this.limits, JSON.parse(this.guard.save()), this.#only)
  }
}
