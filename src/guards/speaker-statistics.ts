import { isNumber } from "../base/plain.js"
import type { Traced } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { SavedMap } from "./saved-map.js"
import { othersThan } from "./scopes.js"

/** What is known of an agent in a room. */
export interface Speaker {
  readonly id: string
  /** Numbers of its first and last message here, and the time of the last. */
  readonly first: number
  last: number
  ts: number
  /** Times it may yet speak after others as a feed does. */
  credit: number
  /** Milliseconds of silence before it speaks after others, usually. */
  lag: number
  /** Milliseconds between its messages, usually. */
  gap: number
  /** Messages and runs that `gap` and `lag` were taken from. */
  gaps: number
  lags: number
  /** Messages of others it has not answered by one of its own, of those before the room had `owedSince`. */
  owed: number
  owedSince: number
  /** The run it is in began soon after somebody else spoke. */
  isQuick: boolean
}

/** Speakers remembered of a room. */
const speakersKept = 64
/** Silences broken that are worth something at once. */
const feedCredits = 4
/** What breaks a silence is not said at once. */
const silenceLeastMs = 500
/** Messages by which is told how often an agent speaks, runs by which how soon it answers. */
const gapSpan = 24
const lagSpan = 8
/** A silence that tells nothing of habits. */
const pauseMs = 300_000
/** Two who speak within this time of each other do not wait for each other's end. */
const overlapMs = 5_000
const owedMost = 32

/** Who has spoken in a room, and how: soon after others, again after itself, how often. */
export class SpeakerStatistics {
  readonly #limits: GuardLimits
  readonly #idleMs: number
  readonly #speakers = new SavedMap<Speaker>(speakersKept, 0)
  /** Messages that all but their authors may answer, counted here and not at each of them. */
  #owing = 0

  /** @param idleMs - who says nothing for so long is forgotten */
  constructor(limits: GuardLimits, idleMs: number) {
    this.#limits = limits
    this.#idleMs = idleMs
  }

  /** Takes over what {@link toJSON} gave. */
  static load(limits: GuardLimits, idleMs: number, state: unknown): SpeakerStatistics {
    const talk = new SpeakerStatistics(limits, idleMs)
    const rows = Array.isArray(state) ? (state as unknown[]) : []
    for (const speaker of rows.flatMap(readSpeaker)) talk.#speakers.set(speaker.id, speaker)
    return talk
  }

  /** Whether nobody else spoke since it did, which was not just now. */
  isAlone(me: Speaker, ts: number): boolean {
    return this.#speakers.newest === me && ts - me.ts >= silenceLeastMs
  }

  /** Who spoke here not too long ago. */
  find(id: string, ts: number): Speaker | undefined {
    this.#speakers.forgetWhile((speaker) => ts - speaker.ts > this.#idleMs)
    return this.#speakers.get(id)
  }

  /** Whether somebody who has spoken comes back if it speaks now. */
  isReturn(me: Speaker, ts: number): boolean {
    const counts = (other: Speaker) =>
      other !== me && other.first < me.last && !(other.credit > 0 && this.isFeeding(other, ts))
    const newest = this.#speakers.find((other) => other === me || counts(other))
    if (newest !== undefined && newest !== me) return true
    return me.isQuick && this.#owedBy(me) > 0 && this.#speakers.find(counts) !== undefined
  }

  /** Whether it speaks without regard to others. */
  isFeeding(speaker: Speaker, ts: number): boolean {
    return speaker.credit > 0 && !this.#isRacing(speaker, ts)
  }

  /** Whether it says statuses as often as somebody else does, and never by itself. */
  isStatusLoop(me: Speaker): boolean {
    const { statusGapMs, feedGapMs } = this.#limits
    const loops = ({ gap, gaps, credit }: Speaker) =>
      gaps > 0 && gap < statusGapMs && (gap < feedGapMs || credit === 0)
    return loops(me) && this.#speakers.find((other) => other !== me && loops(other)) !== undefined
  }

  /** @param seq - number of the message among all */
  note(said: Traced, seq: number): void {
    const me = this.find(said.from, said.ts)
    const before = this.#before(said, me)
    const isOwed = me === undefined || !this.isFeeding(me, said.ts)
    this.#answer(said, before)
    const owed = me === undefined ? 0 : Math.max(0, this.#owedBy(me) - 1)
    if (isOwed) this.#owing++
    const speaker = me ?? newSpeaker(said, seq)
    this.#owe(speaker, owed)
    if (!before.isOn) speaker.isQuick = before.silenceMs < this.#limits.hopsFollowMs / 2
    if (me !== undefined) this.#tellHabits(me, said.ts, before)
    speaker.last = seq
    speaker.ts = Math.max(speaker.ts, said.ts)
    this.#speakers.set(said.from, speaker)
  }

  /** As plain data, who spoke last at the end. */
  toJSON(): unknown {
    return this.#speakers.entries().map(([id, speaker]) => {
      const { first, last, ts, credit, lag, gap, gaps, lags, isQuick } = speaker
      return [id, first, last, ts, credit, lag, gap, gaps, lags, this.#owedBy(speaker), isQuick ? 1 : 0]
    })
  }

  #before({ ts }: Traced, me: Speaker | undefined): Before {
    const { newest } = this.#speakers
    const isOn = me !== undefined && me === newest
    return {
      silenceMs: newest === undefined ? Number.POSITIVE_INFINITY : Math.max(0, ts - newest.ts),
      isOn,
      mayEarn: isOn && !this.#isRacing(me, ts),
    }
  }

  /** What the message changes for others. */
  #answer(said: Traced, { silenceMs, isOn }: Before): void {
    const { newest } = this.#speakers
    // When somebody speaks after a run, what was not answered in it never is.
    if (newest !== undefined && !isOn && silenceMs >= overlapMs) this.#owe(newest, 0)
    for (const id of othersThan(said.from, said.to, said.parent === undefined ? [] : [said.parent.from])) {
      const other = this.#speakers.get(id)
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

  /** Whether it and another speak faster than anybody reads. */
  #isRacing(speaker: Speaker, ts: number): boolean {
    const { feedGapMs } = this.#limits
    const isFast = ({ gap, gaps, ts: last }: Speaker) =>
      gaps > 0 && gap < feedGapMs && ts - last < 2 * feedGapMs
    return isFast(speaker) && this.#speakers.find((other) => other !== speaker && isFast(other)) !== undefined
  }

  /** How often it speaks, how soon after others, and whether it does so by itself. */
  #tellHabits(me: Speaker, ts: number, { silenceMs, isOn, mayEarn }: Before): void {
    const gap = Math.max(0, ts - me.ts)
    if (gap < pauseMs) {
      me.gaps = Math.min(me.gaps + 1, gapSpan)
      me.gap += (gap - me.gap) / me.gaps
    }
    if (isOn) {
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
}

/** What was before a message. */
interface Before {
  /** Milliseconds since anybody spoke. */
  readonly silenceMs: number
  /** The author spoke last. */
  readonly isOn: boolean
  /** Whether silence tells anything. */
  readonly mayEarn: boolean
}

/** Of a speaker, as they are saved. */
type Numbers = [number, number, number, number, number, number, number, number, number, number]

function newSpeaker({ from, ts }: Traced, seq: number): Speaker {
  const nothing = { credit: 0, lag: 0, lags: 0, gap: 0, gaps: 0, owed: 0, owedSince: 0 }
  return { id: from, first: seq, last: seq, ts, ...nothing, isQuick: false }
}

function readSpeaker(row: unknown): Speaker[] {
  if (!Array.isArray(row)) return []
  const [id, ...numbers] = row as unknown[]
  if (typeof id !== "string" || numbers.length !== 10 || !numbers.every(isNumber)) return []
  const [first, last, ts, credit, lag, gap, gaps, lags, owed, quick] = numbers as Numbers
  return [{ id, first, last, ts, credit, lag, gap, gaps, lags, owed, owedSince: 0, isQuick: quick === 1 }]
}
