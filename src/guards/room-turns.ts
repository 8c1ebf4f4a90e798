import type { GuardLimits } from "./guard-limits.js"
import { isNumber, isPlain } from "./plain.js"
import { Recent } from "./recent.js"
import type { Said, Traced } from "./said.js"
import { isUnder } from "./scopes.js"

/** What {@link RoomTurns.trace} adds to a message. */
type Standing = Pick<Traced, "returns" | "isFeed">

/** What is known of an agent in a room. */
interface Speaker {
  readonly id: string
  /** Numbers of its first and last message here, and the time of the last. */
  readonly first: number
  readonly last: number
  readonly ts: number
  /** Times it may yet speak after others as a feed does. */
  readonly credit: number
  /** Milliseconds of silence before it speaks after others, usually. */
  readonly lag: number
  /** Milliseconds between its messages, usually. */
  readonly gap: number
  /** Messages and runs that `gap` and `lag` were taken from. */
  readonly gaps: number
  readonly lags: number
  /** Messages of others since its last run of messages that it has not answered by one of its own. */
  readonly owed: number
  /** The run it is in began soon after somebody else spoke. */
  readonly isQuick: boolean
}

/** Speakers remembered of a room. */
const speakersKept = 64
/** Agents whose words are followed on their way to one agent. */
const heardKept = 16
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
/** Ends the key of what is said in a room, statuses as well. */
const statusMark = " ~"

/**
 * Who comes back to speak. A message is a return if its author and somebody else have each spoken before, and the other
 * again since: agents that each say one thing, or one who goes round and asks each, are no conversation. Of several
 * messages in a row as many are returns as the others said before, for each may answer one. A feed has none: it now and
 * then breaks a longer silence after itself than those after others, which who only answers never does; but two that talk
 * faster than anybody reads are no feeds.
 * Direct messages lead round in circles too: who writes to somebody again after that one's words came back, by whatever
 * way, returns.
 */
export class RoomTurns {
  readonly #idleMs: number
  readonly #quickMs: number
  readonly #dayMs: number
  readonly #limits: GuardLimits
  /** By room: what was said there but for plain statuses; by room and a mark: all. */
  readonly #rooms = new Recent<readonly Speaker[]>(2_048, 130_000)
  /** By agent: whose words have come to it, each with the number of its message. */
  readonly #heard = new Recent<readonly (readonly [id: string, seq: number])[]>(4_096, 60_000)
  #seq = 0

  constructor(limits: GuardLimits) {
    // By then the budget has regained what such a return would cost.
    this.#idleMs = 2 * limits.conversationRegainMs
    this.#quickMs = limits.hopsFollowMs / 2
    this.#dayMs = limits.slowWindowMs
    this.#limits = limits
  }

  trace(said: Said): Standing {
    const isStatus = isPlainStatus(said)
    const speakers = this.#present(isStatus ? withStatuses(said.room) : said.room, said.ts)
    const me = speakers.find(({ id }) => id === said.from)
    if (me === undefined) return { returns: 0, isFeed: false }
    if (isStatus) return { returns: isStatusLoop(me, speakers, this.#limits) ? 1 : 0, isFeed: true }
    const isFeed =
      isFeeding(me, speakers, said.ts, this.#limits) && said.answers === undefined && said.to.length === 0
    if (isFeed) return { returns: 0, isFeed }
    const cameAround = isDirect(said.room) && this.#cameBack(said, me.last)
    const returns = this.#returns(me, speakers, said)
    return { returns: returns > 0 ? returns : cameAround ? 2 : 0, isFeed }
  }

  note(said: Traced): void {
    const seq = ++this.#seq
    for (const target of said.to) this.#tell(said.from, target, seq)
    if (!isDirect(said.room)) this.#note(withStatuses(said.room), said, seq)
    if (!isPlainStatus(said)) this.#note(said.room, said, seq)
  }

  spoke(room: string): void {
    this.#rooms.delete(room)
    this.#rooms.delete(withStatuses(room))
  }

  reset(scope: string | undefined): void {
    for (const [room] of this.#rooms.entries()) if (isUnder(room, scope)) this.#rooms.delete(room)
  }

  save(): unknown {
    return { seq: this.#seq, rooms: this.#rooms.save(), heard: this.#heard.save() }
  }

  load(state: unknown): void {
    const { seq, rooms, heard } = (state ?? {}) as { seq?: unknown; rooms?: unknown; heard?: unknown }
    if (!isNumber(seq)) return
    this.#seq = seq
    this.#rooms.load(rooms, isSpeakers)
    this.#heard.load(heard, isHeard)
  }

  /** 1 if the author comes back with this message. */
  #returns(me: Speaker, speakers: readonly Speaker[], { from, ts }: Said): number {
    const others = speakers.filter(
      (other) => other.id !== from && other.first < me.last && !isFeeding(other, speakers, ts, this.#limits),
    )
    if (others.some(({ last }) => me.last < last)) return 1
    return others.length > 0 && me.isQuick && me.owed > 0 ? 1 : 0
  }

  #note(key: string, said: Traced, seq: number): void {
    const speakers = this.#present(key, said.ts)
    const newest = speakers.at(-1)
    const me = speakers.find(({ id }) => id === said.from)
    const silenceMs = newest === undefined ? Number.POSITIVE_INFINITY : Math.max(0, said.ts - newest.ts)
    const answered = new Set(said.to).add(said.parent?.from ?? "")
    const mayEarn = me === undefined || !isRacing(me, speakers, said.ts, this.#limits)
    const isOwed = me === undefined || !isFeeding(me, speakers, said.ts, this.#limits)
    const { feedCredit } = this.#limits
    const others = speakers
      .filter(({ id }) => id !== said.from)
      .slice(1 - speakersKept)
      .map((other) => {
        // When somebody speaks after a run, what was not answered in it never is.
        const isOver = other === newest && silenceMs >= overlapMs
        const owed = (isOver ? 0 : other.owed) + (isOwed ? 1 : 0)
        const credit = answered.has(other.id) ? Math.max(0, other.credit - feedCredit / 2) : other.credit
        return { ...other, owed: Math.min(owed, owedMost), credit }
      })
    this.#rooms.set(key, [
      ...others,
      spoken(me, said, { seq, silenceMs, isOn: me === newest, mayEarn, quickMs: this.#quickMs, feedCredit }),
    ])
  }

  /** Who has spoken in the room not too long ago, who spoke last at the end. */
  #present(key: string, ts: number): readonly Speaker[] {
    const idleMs = key.endsWith(statusMark) ? this.#dayMs : this.#idleMs
    return (this.#rooms.get(key) ?? []).filter((speaker) => ts - speaker.ts <= idleMs)
  }

  /** What was said to `from` before goes with its words to `target`. */
  #tell(from: string, target: string, seq: number): void {
    if (from === target) return
    const heard = new Map(this.#heard.get(target) ?? [])
    for (const [id, at] of [...(this.#heard.get(from) ?? []), [from, seq] as const])
      if (id !== target && at > (heard.get(id) ?? 0)) heard.set(id, at)
    const newest = [...heard].sort((a, b) => a[1] - b[1]).slice(-heardKept)
    this.#heard.set(target, newest)
  }

  #cameBack(said: Said, last: number): boolean {
    const heard = this.#heard.get(said.from) ?? []
    return said.to.some((target) => heard.some(([id, seq]) => id === target && seq > last))
  }
}

/** Whether it only says how things stand, to nobody: no answer, and none to who speaks after it. */
function isPlainStatus({ kind, to, answers }: Said): boolean {
  return kind === "status" && to.length === 0 && answers === undefined
}

/** Whether a room is that of direct messages of two agents. */
function isDirect(room: string): boolean {
  return room.includes(" ")
}

/** Where everything is counted that is said in a room, statuses as well. */
function withStatuses(room: string): string {
  return room + statusMark
}

/** Whether it says statuses as often as somebody else does, and never by itself. */
function isStatusLoop(
  me: Speaker,
  speakers: readonly Speaker[],
  { statusGapMs, feedGapMs }: GuardLimits,
): boolean {
  const loops = ({ gap, gaps, credit }: Speaker) =>
    gaps > 0 && gap < statusGapMs && (gap < feedGapMs || credit === 0)
  return loops(me) && speakers.some((other) => other !== me && loops(other))
}

/** Whether it speaks without regard to others. */
function isFeeding(speaker: Speaker, speakers: readonly Speaker[], ts: number, limits: GuardLimits): boolean {
  return speaker.credit > 0 && !isRacing(speaker, speakers, ts, limits)
}

/** Whether it and another speak faster than anybody reads. */
function isRacing(
  speaker: Speaker,
  speakers: readonly Speaker[],
  ts: number,
  { feedGapMs }: GuardLimits,
): boolean {
  const isFast = ({ gap, gaps, ts: last }: Speaker) =>
    gaps > 0 && gap < feedGapMs && ts - last < 2 * feedGapMs
  return isFast(speaker) && speakers.some((other) => other.id !== speaker.id && isFast(other))
}

/** What of a message matters to its author. */
interface Utterance {
  readonly seq: number
  /** Milliseconds since anybody spoke. */
  readonly silenceMs: number
  /** The author spoke last. */
  readonly isOn: boolean
  /** Whether silence tells anything. */
  readonly mayEarn: boolean
  readonly quickMs: number
  readonly feedCredit: number
}

function spoken(
  me: Speaker | undefined,
  said: Said,
  { seq, silenceMs, isOn, mayEarn, quickMs, feedCredit }: Utterance,
): Speaker {
  const isQuick = silenceMs < quickMs
  if (me === undefined) {
    const nothing = { credit: 0, lag: 0, lags: 0, gap: 0, gaps: 0, owed: 0 }
    return { id: said.from, first: seq, last: seq, ts: said.ts, ...nothing, isQuick }
  }
  const [gap, gaps] = usual(me.gap, me.gaps, Math.max(0, said.ts - me.ts), gapSpan)
  const owed = Math.max(0, me.owed - 1)
  const next = { ...me, last: seq, ts: Math.max(me.ts, said.ts), gap, gaps, owed }
  if (!isOn) {
    const [lag, lags] = usual(me.lag, me.lags, silenceMs, lagSpan)
    return { ...next, isQuick, lag, lags, credit: Math.max(0, me.credit - 1) }
  }
  const isAlone = mayEarn && me.lags > 0 && silenceMs >= Math.max(silenceLeastMs, me.lag)
  return isAlone ? { ...next, credit: Math.min(me.credit + feedCredit, feedCredits * feedCredit) } : next
}

/** What is usual, and of how many, with one more. */
function usual(before: number, count: number, newest: number, span: number): readonly [number, number] {
  if (newest >= pauseMs) return [before, count]
  const counted = Math.min(count + 1, span)
  return [before + (newest - before) / counted, counted]
}

function isSpeakers(value: unknown): value is Speaker[] {
  return Array.isArray(value) && value.every(isSpeaker)
}

function isSpeaker(value: unknown): boolean {
  if (!isPlain(value) || typeof value["id"] !== "string" || typeof value["isQuick"] !== "boolean")
    return false
  const { first, last, ts, credit, lag, lags, gap, gaps, owed } = value
  return [first, last, ts, credit, lag, lags, gap, gaps, owed].every(isNumber)
}

function isHeard(value: unknown): value is (readonly [string, number])[] {
  return Array.isArray(value) && value.every(isWord)
}

function isWord(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [id, seq] = value as unknown[]
  return typeof id === "string" && isNumber(seq)
}
