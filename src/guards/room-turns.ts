import type { GuardLimits } from "./guard-limits.js"
import { isNumber } from "./plain.js"
import { Recent } from "./recent.js"
import type { Said, Traced } from "./said.js"
import { isUnder } from "./scopes.js"

/** What {@link RoomTurns.trace} adds to a message. */
type Standing = Pick<Traced, "returns" | "isFeed">

/** agent, number of its first and last message here, time of the last, messages, and those after one of its own */
type Speaker = readonly [id: string, first: number, last: number, ts: number, said: number, alone: number]

/** Speakers remembered of a room. */
const speakersKept = 64
/** Agents whose words are followed on their way to one agent. */
const heardKept = 16
/** Messages by which it is judged whether an agent speaks without regard to others. */
const feedSpan = 16
const feedLeast = 4
/** Share of messages right after one's own from which on that is so. */
const feedShare = 0.3

/**
 * Who comes back to speak. A message is a return if its author and somebody else have each spoken before, and the other
 * again since: agents that each say one thing, or one who goes round and asks each, are no conversation; nor is a feed,
 * which speaks after itself as often as after others. Direct messages lead round in circles too: who writes to somebody
 * again after that one's words came back, by whatever way, returns.
 */
export class RoomTurns {
  readonly #idleMs: number
  readonly #rooms = new Recent<readonly Speaker[]>(2_048, 130_000)
  /** By agent: whose words have come to it, each with the number of its message. */
  readonly #heard = new Recent<readonly (readonly [id: string, seq: number])[]>(4_096, 60_000)
  #seq = 0

  constructor(limits: GuardLimits) {
    // By then the budget has regained what such a return would cost.
    this.#idleMs = 2 * limits.conversationRegainMs
  }

  trace(said: Said): Standing {
    const speakers = isPlainStatus(said) ? [] : this.#present(said)
    const me = speakers.find(([id]) => id === said.from)
    if (me === undefined) return { returns: 0, isFeed: false }
    const isFeed = isFeeding(me) && said.answers === undefined && said.to.length === 0
    const last = me[2]
    const cameAround = isDirect(said.room) && this.#cameBack(said, last)
    const hasReturned = speakers.some(
      (other) => other[0] !== said.from && other[1] < last && last < other[2] && !isFeeding(other),
    )
    const returns = hasReturned ? 1 : cameAround ? 2 : 0
    return { returns: isFeed ? 0 : returns, isFeed }
  }

  note(said: Traced): void {
    const seq = ++this.#seq
    for (const target of said.to) this.#tell(said.from, target, seq)
    if (isPlainStatus(said)) return
    const answered = new Set(said.to).add(said.parent?.from ?? "")
    const newest = Math.max(0, ...(this.#rooms.get(said.room) ?? []).map((speaker) => speaker[2]))
    const speakers = this.#present(said).map((speaker) =>
      answered.has(speaker[0]) ? heeded(speaker) : speaker,
    )
    const me = speakers.find(([id]) => id === said.from)
    const others = speakers.filter(([id]) => id !== said.from).slice(1 - speakersKept)
    this.#rooms.set(said.room, [...others, spoken(me, said, seq, newest)])
  }

  spoke(room: string): void {
    this.#rooms.delete(room)
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

  /** Who has spoken in the room not too long ago, who spoke last at the end. */
  #present(said: Said): Speaker[] {
    return (this.#rooms.get(said.room) ?? []).filter((speaker) => said.ts - speaker[3] <= this.#idleMs)
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

function isFeeding([, , , , said, alone]: Speaker): boolean {
  return said >= feedLeast && alone / said >= feedShare
}

/** A feed that is answered is less of one. */
function heeded([id, first, last, ts, said, alone]: Speaker): Speaker {
  return [id, first, last, ts, said, Math.max(0, alone - 2)]
}

function spoken(me: Speaker | undefined, said: Said, seq: number, newest: number): Speaker {
  if (me === undefined) return [said.from, seq, seq, said.ts, 1, 0]
  const [id, first, last, ts, count, alone] = me
  const fade = count >= feedSpan ? 0.5 : 1
  return [id, first, seq, Math.max(ts, said.ts), count * fade + 1, alone * fade + (last === newest ? 1 : 0)]
}

function isSpeakers(value: unknown): value is Speaker[] {
  return Array.isArray(value) && value.every((item) => isRow(item, 6))
}

function isHeard(value: unknown): value is (readonly [string, number])[] {
  return Array.isArray(value) && value.every((item) => isRow(item, 2))
}

function isRow(value: unknown, length: number): boolean {
  if (!Array.isArray(value) || value.length !== length) return false
  const [id, ...numbers] = value as unknown[]
  return typeof id === "string" && numbers.every(isNumber)
}
