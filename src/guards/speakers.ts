import { authorOf } from "../protocol/message-id.js"
import type { GuardMessage } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { othersThan } from "./scopes.js"
import type { Moment } from "./shared-count.js"

/** The habits of an agent in a channel. */
export interface Speaker {
  readonly id: string
  /** Sequence numbers of its first and last message here, and the time of the last. */
  readonly first: number
  last: number
  ts: number
  /** Messages after others it may still send as a feed. */
  credit: number
  /** Mean silence before it speaks after others, and mean time between its messages, in milliseconds. */
  lag: number
  gap: number
  /** Samples in `gap` and `lag`. */
  gaps: number
  lags: number
  /** Messages of others it has not answered, at the time the channel had `owedSince`. */
  owed: number
  owedSince: number
  /** The run of messages it is in began soon after another agent spoke. */
  isQuick: boolean
}

const speakersKept = 64
/** Multiple of `feedCredit` that a feed can hold. */
const feedCredits = 4
/** A message sooner than this after the last one breaks no silence. */
const silenceLeastMs = 500
/** Samples in the means of `gap` and `lag`. */
const gapSpan = 24
const lagSpan = 8
/** Longer silences say nothing about habits. */
const pauseMs = 300_000
/** Two agents that speak within this time of each other do not wait for each other to end. */
const overlapMs = 5_000
/** An answer within this time is quick. */
const quickMs = 30_000
const owedMost = 32

/** The speakers of one channel and their habits: how soon they speak after others, how often, and by themselves. */
export class Speakers {
  readonly #limits: GuardLimits
  readonly #idleMs: number
  /** In order of their last message. An array, because most channels have two speakers and the latest matter most. */
  #speakers: Speaker[] = []
  /** Messages that everybody but their authors may answer; counted here and not for each agent. */
  #owing = 0

  /** @param idleMs - silence after which a speaker is forgotten */
  constructor(limits: GuardLimits, idleMs: number) {
    this.#limits = limits
    this.#idleMs = idleMs
  }

  /** Restores what {@link toJSON} gave. */
  static load(limits: GuardLimits, idleMs: number, state: readonly Speaker[]): Speakers {
    const speakers = new Speakers(limits, idleMs)
    speakers.#speakers = state.map((speaker) => ({ ...speaker }))
    return speakers
  }

  /** Returns an agent that spoke here not too long ago. */
  find(id: string, moment: Moment): Speaker | undefined {
    const speaker = this.#find(id)
    return speaker === undefined || this.#isIdle(speaker, moment) ? undefined : speaker
  }

  /** Reports whether nobody else has spoken since an agent did, which was not just now. */
  isAlone(me: Speaker, ts: number): boolean {
    return this.#speakers.at(-1) === me && ts - me.ts >= silenceLeastMs
  }

  /**
   * Reports whether an agent that speaks now comes back: another agent spoke before its last message and again since. In
   * a run of messages as many are returns as the others had sent before, because each may answer one of them.
   */
  isReturn(me: Speaker, moment: Moment): boolean {
    const owesAnswer = me.isQuick && this.#owedBy(me) > 0
    for (let n = this.#speakers.length - 1; n >= 0; n--) {
      const other = this.#speakers[n]
      if (other === undefined || (other === me && !owesAnswer)) return false
      if (other === me || other.first >= me.last || this.#isIdle(other, moment)) continue
      if (!this.isFeeding(other, moment.ts)) return true
    }
    return false
  }

  /** Reports whether an agent speaks without regard to others. */
  isFeeding(speaker: Speaker, ts: number): boolean {
    return speaker.credit > 0 && !this.#isRacing(speaker, ts)
  }

  /** Reports whether an agent and another one send statuses faster than a clock would. */
  isStatusLoop(me: Speaker): boolean {
    const { statusGapMs, feedGapMs } = this.#limits
    const loops = ({ gap, gaps, credit }: Speaker) =>
      gaps > 0 && gap < statusGapMs && (gap < feedGapMs || credit === 0)
    if (!loops(me)) return false
    return this.#speakers.some((other) => other !== me && loops(other))
  }

  /** @param seq - number of the message among all messages */
  note(message: GuardMessage, seq: number, moment: Moment): void {
    const { from, ts } = message
    this.#forgetIdle(moment)
    const newest = this.#speakers.at(-1)
    const silenceMs = newest === undefined ? Number.POSITIVE_INFINITY : Math.max(0, ts - newest.ts)
    const known = this.#find(from)
    const speaker = known ?? newSpeaker(from, ts, seq)
    const isInRun = speaker === newest
    // The silence of agents that are stopped says nothing about the author.
    const mayEarn = isInRun && !moment.isPaused && !this.#isRacing(speaker, ts)
    const isFeeding = this.isFeeding(speaker, ts)
    // Messages that the last run left unanswered stay unanswered once another agent speaks.
    if (newest !== undefined && !isInRun && silenceMs >= overlapMs) this.#owe(newest, 0)
    this.#answer(message)
    const owed = known === undefined ? 0 : Math.max(0, this.#owedBy(known) - 1)
    if (!isFeeding) this.#owing++
    this.#owe(speaker, owed)
    if (!isInRun) speaker.isQuick = silenceMs < quickMs
    if (known !== undefined) this.#learn(known, ts, silenceMs, isInRun, mayEarn)
    speaker.last = seq
    speaker.ts = Math.max(speaker.ts, ts)
    this.#append(speaker)
  }

  /** Returns the speakers as plain data, the latest at the end. */
  toJSON(): readonly Speaker[] {
    return this.#speakers.map((speaker) => ({ ...speaker, owed: this.#owedBy(speaker), owedSince: 0 }))
  }

  /** Takes credit from the agents a message answers or is addressed to: nobody answers a feed. */
  #answer({ from, to, answers }: GuardMessage): void {
    const answered = answers === undefined ? to : [...to, authorOf(answers)]
    for (const id of othersThan(from, answered)) {
      const other = this.#find(id)
      if (other !== undefined) other.credit = Math.max(0, other.credit - this.#limits.feedCredit / 2)
    }
  }

  #owedBy({ owed, owedSince }: Speaker): number {
    return Math.min(owedMost, owed + this.#owing - owedSince)
  }

  #owe(speaker: Speaker, owed: number): void {
    speaker.owed = owed
    speaker.owedSince = this.#owing
  }

  /** Reports whether an agent and another one speak faster than anybody reads. */
  #isRacing(speaker: Speaker, ts: number): boolean {
    const { feedGapMs } = this.#limits
    const isFast = ({ gap, gaps, ts: last }: Speaker) =>
      gaps > 0 && gap < feedGapMs && ts - last < 2 * feedGapMs
    if (!isFast(speaker)) return false
    return this.#speakers.some((other) => other !== speaker && isFast(other))
  }

  #learn(me: Speaker, ts: number, silenceMs: number, isInRun: boolean, mayEarn: boolean): void {
    const gapMs = Math.max(0, ts - me.ts)
    if (gapMs < pauseMs) {
      me.gaps = Math.min(me.gaps + 1, gapSpan)
      me.gap += (gapMs - me.gap) / me.gaps
    }
    if (isInRun) {
      const { feedCredit } = this.#limits
      if (mayEarn && me.lags > 0 && silenceMs >= Math.max(silenceLeastMs, me.lag))
        me.credit = Math.min(me.credit + feedCredit, feedCredits * feedCredit)
      return
    }
    me.credit = Math.max(0, me.credit - 1)
    if (silenceMs >= pauseMs) return
    me.lags = Math.min(me.lags + 1, lagSpan)
    me.lag += (silenceMs - me.lag) / me.lags
  }

  #find(id: string): Speaker | undefined {
    for (let n = this.#speakers.length - 1; n >= 0; n--)
      if (this.#speakers[n]?.id === id) return this.#speakers[n]
    return undefined
  }

  #append(speaker: Speaker): void {
    const speakers = this.#speakers
    if (speakers.at(-1) === speaker) return
    const place = speakers.lastIndexOf(speaker)
    if (place >= 0) speakers.splice(place, 1)
    else if (speakers.length >= speakersKept) speakers.shift()
    speakers.push(speaker)
  }

  /** Reports whether an agent was silent for long. Where agents are stopped their silence is not their own. */
  #isIdle(speaker: Speaker, { ts, isPaused }: Moment): boolean {
    return !isPaused && ts - speaker.ts > this.#idleMs
  }

  #forgetIdle(moment: Moment): void {
    for (;;) {
      const oldest = this.#speakers[0]
      if (oldest === undefined || !this.#isIdle(oldest, moment)) return
      this.#speakers.shift()
    }
  }
}

function newSpeaker(id: string, ts: number, seq: number): Speaker {
  const none = { credit: 0, lag: 0, gap: 0, gaps: 0, lags: 0, owed: 0, owedSince: 0 }
  return { id, first: seq, last: seq, ts, ...none, isQuick: false }
}
