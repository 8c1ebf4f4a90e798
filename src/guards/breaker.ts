import { isNumber, isPlain, isStrings } from "../base/plain.js"
import { authorOf } from "../protocol/message-id.js"
import type { GuardLimits } from "./limits.js"

/** The numbers of a breaker. */
export type BreakerLimits = Pick<
  GuardLimits,
  | "breakerWarn"
  | "breakerPause"
  | "breakerStop"
  | "breakerPauseMs"
  | "breakerRejected"
  | "conversationRegainMs"
>

/** The state a breaker has reached; `until` is a time in milliseconds since the Unix epoch. */
export type BreakerStep =
  | { readonly state: "warned"; readonly used: number }
  | { readonly state: "paused"; readonly used: number; readonly until: number }
  | { readonly state: "stopped"; readonly used: number }

/** The state that {@link Breaker.save} returns: plain JSON. */
interface BreakerState {
  /** Answers counted, at the time `ts`. */
  used: number
  ts: number
  /** End of the pause. */
  until: number
  isStopped: boolean
  /** Agents that woke this one before. */
  wakers: readonly string[]
  evidence: readonly string[]
  /** Lines refused in a row; absent in states of earlier versions. */
  rejected?: number
  /** Ids and names of the agents that woke this one again, and the channels they did it in; absent in earlier versions. */
  talkers?: readonly string[] | undefined
}

/** The fields of a message that show whether it answers somebody. */
export interface AnswerFacts {
  readonly to: string
  readonly content?: string | undefined
  readonly mentions?: readonly string[] | undefined
  readonly in_reply_to?: string | undefined
}

const wakersKept = 200
const talkersKept = 200
const evidenceKept = 10

/** A word of a text that may name an agent. */
const mention = /@[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/g

const emptyState = (): BreakerState => ({
  ...{ used: 0, ts: 0, until: 0, isStopped: false, wakers: [], evidence: [], rejected: 0, talkers: [] },
})

/**
 * Counts how often an agent was woken by an agent that woke it before, and only answered: no finished task, no step of a
 * deal, no commit. One answer is forgotten in each `conversationRegainMs`. It warns at `breakerWarn`, delays each further
 * answer from `breakerPause` on, and stops the agent at `breakerStop` until {@link reset}. Only answers to the agents that woke
 * it are delayed and stopped, so strangers cannot keep it from writing to others.
 *
 * It also counts lines refused in a row, because an agent may answer the news of each with another such line. After
 * `breakerRejected` of them it is silent about single lines.
 */
export class Breaker {
  readonly #limits: BreakerLimits
  #state = emptyState()
  #isWoken = false

  constructor(limits: BreakerLimits) {
    this.#limits = limits
  }

  /** Restores what {@link save} returned; ignores anything else. */
  static load(limits: BreakerLimits, state: unknown): Breaker {
    const breaker = new Breaker(limits)
    if (isState(state)) breaker.#state = { ...emptyState(), talkers: undefined, ...state }
    return breaker
  }

  /** Ids of the messages that woke the agent, newest last, at most ten. */
  get evidence(): readonly string[] {
    return this.#state.evidence
  }

  /** Reports whether the next message of the agent is an answer that counts. */
  get isWoken(): boolean {
    return this.#isWoken
  }

  /** Reports whether too many lines were refused in a row to report each of them. */
  get isSilent(): boolean {
    return this.#rejected > this.#limits.breakerRejected
  }

  get #rejected(): number {
    return this.#state.rejected ?? 0
  }

  /**
   * A message is addressed to the agent.
   * @param id - of the message
   * @param places - where an answer may go: the name of the author as a reference, the channel
   */
  woken(by: string, id: string, places: readonly string[] = []): void {
    const { wakers, evidence, talkers } = this.#state
    if (!wakers.includes(by)) {
      this.#state.wakers = [...wakers, by].slice(-wakersKept)
      return
    }
    this.#isWoken = true
    const all = [by, ...places].map((place) => place.toLowerCase())
    if (talkers !== undefined) this.#state.talkers = [...new Set([...talkers, ...all])].slice(-talkersKept)
    this.#state.evidence = [...evidence, id].slice(-evidenceKept)
  }

  /** The agent sent a message. @returns the state it has reached, if that is new */
  answered(ts: number): BreakerStep | undefined {
    if (!this.#isWoken) return undefined
    this.#isWoken = false
    this.#state.used = this.used(ts) + 1
    this.#state.ts = ts
    const used = Math.ceil(this.#state.used)
    const { breakerWarn, breakerPause, breakerStop, breakerPauseMs } = this.#limits
    if (used >= breakerStop) {
      this.#state.isStopped = true
      return { state: "stopped", used }
    }
    if (used >= breakerPause) {
      this.#state.until = ts + breakerPauseMs
      return { state: "paused", used, until: this.#state.until }
    }
    return used === breakerWarn ? { state: "warned", used } : undefined
  }

  /**
   * Reports whether a message answers an agent that woke this one. In a channel the agents it names decide, or the one it
   * replies to; without any it answers all who woke it there.
   */
  isAnswer({ to, content = "", mentions = [], in_reply_to: answered }: AnswerFacts): boolean {
    const { talkers } = this.#state
    if (talkers === undefined) return true
    const isTalker = (ref: string) => talkers.includes(ref.toLowerCase())
    if (!to.startsWith("#")) return isTalker(to)
    if (answered !== undefined) return isTalker(authorOf(answered))
    const named = [...mentions, ...(content.match(mention) ?? [])]
    return named.length > 0 ? named.some(isTalker) : isTalker(to)
  }

  /** Returns what keeps the agent from sending answers now. */
  holds(ts: number): BreakerStep | undefined {
    const { isStopped, until } = this.#state
    const used = Math.ceil(this.used(ts))
    if (isStopped) return { state: "stopped", used }
    return ts < until ? { state: "paused", used, until } : undefined
  }

  /** Returns the answers counted, with the fraction that is not forgotten yet. A stopped breaker forgets nothing. */
  used(ts: number): number {
    if (this.#state.isStopped) return this.#state.used
    const elapsedMs = Math.max(0, ts - this.#state.ts)
    return Math.max(0, this.#state.used - elapsedMs / this.#limits.conversationRegainMs)
  }

  /** The agent finished work, which clears the count. Only a person lifts a stop. */
  worked(): void {
    if (this.#state.isStopped) return
    this.#state = { ...emptyState(), rejected: this.#rejected }
    this.#isWoken = false
  }

  /** A person clears all counts. */
  reset(): void {
    this.#state = emptyState()
    this.#isWoken = false
  }

  /** A line was refused. @returns whether to report it to the agent */
  rejected(): boolean {
    this.#state.rejected = Math.min(this.#rejected + 1, this.#limits.breakerRejected + 1)
    return !this.isSilent
  }

  /** A line was accepted. @returns whether lines were refused before it */
  accepted(): boolean {
    const isFirst = this.#rejected > 0
    this.#state.rejected = 0
    return isFirst
  }

  save(): Readonly<BreakerState> {
    return { ...this.#state }
  }
}

function isState(value: unknown): value is BreakerState {
  if (!isPlain(value)) return false
  const { used, ts, until, isStopped, wakers, evidence, rejected = 0, talkers = [] } = value
  return (
    [used, ts, until, rejected].every((number) => isNumber(number) && number >= 0) &&
    typeof isStopped === "boolean" &&
    isStrings(wakers) &&
    isStrings(evidence) &&
    isStrings(talkers)
  )
}
