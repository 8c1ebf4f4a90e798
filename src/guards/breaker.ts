import { isNumber, isPlain, isTexts } from "../base/plain.js"
import type { GuardLimits } from "./limits.js"

/** The numbers a breaker goes by. */
export type BreakerLimits = Pick<
  GuardLimits,
  | "breakerWarn"
  | "breakerPause"
  | "breakerStop"
  | "breakerPauseMs"
  | "breakerRejected"
  | "conversationRegainMs"
>

/** What a breaker came to. `until` is there while it is paused. */
export type BreakerStep =
  | { readonly state: "warned"; readonly used: number }
  | { readonly state: "paused"; readonly used: number; readonly until: number }
  | { readonly state: "stopped"; readonly used: number }

/** What {@link Breaker.save} gives: plain JSON. */
export interface BreakerState {
  readonly used: number
  readonly ts: number
  readonly until: number
  readonly isStopped: boolean
  readonly wakers: readonly string[]
  readonly evidence: readonly string[]
  /** Absent in what an earlier version saved. */
  readonly rejected?: number
}

const nothing: BreakerState = { used: 0, ts: 0, until: 0, isStopped: false, wakers: [], evidence: [] }
const most = { wakers: 200, evidence: 10 } as const

/**
 * Counts how often an agent was woken by somebody who woke it before, and did nothing but answer: no task ended, no
 * step of a deal, no commit. Answers to many agents, one each, do not count, nor does what nobody woke it for. One is
 * forgotten in `conversationRegainMs`. From `breakerWarn` on it warns, from `breakerPause` on each further answer
 * waits, from `breakerStop` on none is said before {@link reset}.
 * Beside that it counts lines that were refused one after the other: whoever answers the news of that with the next
 * such line goes on for ever, with nobody else in it. After `breakerRejected` of them no more is told of each.
 */
export class Breaker {
  readonly #limits: BreakerLimits
  #used = 0
  #ts = 0
  #until = 0
  #isStopped = false
  /** It was woken, and has not answered yet. */
  #isWoken = false
  #wakers: string[] = []
  #evidence: string[] = []
  #rejected = 0

  constructor(limits: BreakerLimits) {
    this.#limits = limits
  }

  /** Takes over what {@link save} gave; anything else is as good as nothing. */
  static load(limits: BreakerLimits, state: unknown): Breaker {
    const breaker = new Breaker(limits)
    if (isState(state)) breaker.#take(state)
    return breaker
  }

  /** Ids of the messages it was woken by, newest last, at most ten. */
  get evidence(): readonly string[] {
    return this.#evidence
  }

  /** A line came that is put to this agent. @param id - of the message */
  woken(by: string, id: string): void {
    if (!this.#wakers.includes(by)) {
      this.#wakers = [...this.#wakers, by].slice(-most.wakers)
      return
    }
    this.#isWoken = true
    this.#evidence = [...this.#evidence, id].slice(-most.evidence)
  }

  /** Whether what the agent says next is an answer that counts. */
  get isWoken(): boolean {
    return this.#isWoken
  }

  /** The agent said something. @returns what it came to by that, when that is new */
  said(ts: number): BreakerStep | undefined {
    if (!this.#isWoken) return undefined
    this.#isWoken = false
    this.#used = this.used(ts) + 1
    this.#ts = ts
    const used = Math.ceil(this.#used)
    const { breakerWarn, breakerPause, breakerStop, breakerPauseMs } = this.#limits
    if (used >= breakerStop) {
      this.#isStopped = true
      return { state: "stopped", used }
    }
    if (used >= breakerPause) {
      this.#until = ts + breakerPauseMs
      return { state: "paused", used, until: this.#until }
    }
    return used === breakerWarn ? { state: "warned", used } : undefined
  }

  /** What keeps the agent from saying anything now. */
  holds(ts: number): BreakerStep | undefined {
    const used = Math.ceil(this.used(ts))
    if (this.#isStopped) return { state: "stopped", used }
    return ts < this.#until ? { state: "paused", used, until: this.#until } : undefined
  }

  /** How much is used, with the fraction that is not forgotten yet. */
  used(ts: number): number {
    return Math.max(0, this.#used - Math.max(0, ts - this.#ts) / this.#limits.conversationRegainMs)
  }

  /** Something was done. A stop stays: that is not the agent's to lift. */
  worked(): void {
    if (!this.#isStopped) this.#forget()
  }

  /** A person lifts it. */
  reset(): void {
    this.#forget()
    this.#rejected = 0
  }

  /** A line was refused for good. @returns whether the agent should be told of it */
  rejected(): boolean {
    this.#rejected = Math.min(this.#rejected + 1, this.#limits.breakerRejected + 1)
    return !this.isSilent
  }

  /** A line was taken. @returns whether that changes anything */
  accepted(): boolean {
    const isChange = this.#rejected > 0
    this.#rejected = 0
    return isChange
  }

  /** So many lines were refused one after the other that no more is told of each. */
  get isSilent(): boolean {
    return this.#rejected > this.#limits.breakerRejected
  }

  save(): BreakerState {
    return {
      used: this.#used,
      ts: this.#ts,
      until: this.#until,
      isStopped: this.#isStopped,
      wakers: this.#wakers,
      evidence: this.#evidence,
      rejected: this.#rejected,
    }
  }

  #forget(): void {
    this.#take({ ...nothing, rejected: this.#rejected })
    this.#isWoken = false
  }

  #take({ used, ts, until, isStopped, wakers, evidence, rejected = 0 }: BreakerState): void {
    this.#used = used
    this.#ts = ts
    this.#until = until
    this.#isStopped = isStopped
    this.#wakers = wakers.slice(-most.wakers)
    this.#evidence = evidence.slice(-most.evidence)
    this.#rejected = rejected
  }
}

function isState(value: unknown): value is BreakerState {
  if (!isPlain(value)) return false
  const { used, ts, until, isStopped, wakers, evidence, rejected = 0 } = value
  return (
    [used, ts, until, rejected].every((number) => isNumber(number) && number >= 0) &&
    typeof isStopped === "boolean" &&
    isTexts(wakers) &&
    isTexts(evidence)
  )
}
