import { isNumber } from "../base/plain.js"
import type { GuardMessage, Traced } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { ReadState } from "./read-state.js"
import { SavedMap } from "./saved-map.js"
import { isUnder } from "./scopes.js"
import { type Speaker, SpeakerStatistics } from "./speaker-statistics.js"

/** What {@link RoomTurns.trace} adds to a message. */
type Standing = Pick<Traced, "returns" | "isFeed" | "goesOn">

/** What was said in a room. */
interface Room {
  /** But for plain statuses. */
  readonly talk: SpeakerStatistics
  /** Statuses as well; of a room of two there is none. */
  readonly all: SpeakerStatistics | undefined
}

const stranger: Standing = { returns: 0, isFeed: false, goesOn: false }

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
  readonly #limits: GuardLimits
  readonly #rooms = new SavedMap<Room>(2_048, 130_000)
  readonly #heard = new ReadState()
  #seq = 0

  constructor(limits: GuardLimits) {
    this.#limits = limits
  }

  trace(said: GuardMessage): Standing {
    const room = this.#rooms.get(said.room)
    const isStatus = isPlainStatus(said)
    const talk = isStatus ? room?.all : room?.talk
    const me = talk?.find(said.from, said.ts)
    if (talk === undefined || me === undefined) return stranger
    const goesOn = talk.isAlone(me, said.ts)
    if (isStatus) return { returns: talk.isStatusLoop(me) ? 1 : 0, isFeed: true, goesOn }
    const isFeed = said.answers === undefined && said.to.length === 0 && talk.isFeeding(me, said.ts)
    return { returns: isFeed ? 0 : this.#returns(said, me, talk), isFeed, goesOn }
  }

  note(said: Traced): void {
    const seq = ++this.#seq
    for (const target of said.to) this.#heard.tell(said.from, target, seq)
    const room = this.#rooms.get(said.room) ?? this.#makeRoom(said.room)
    room.all?.note(said, seq)
    if (!isPlainStatus(said)) room.talk.note(said, seq)
    this.#rooms.set(said.room, room)
  }

  spoke(room: string): void {
    this.#rooms.delete(room)
  }

  reset(scope: string | undefined): void {
    for (const [room] of this.#rooms.entries()) if (isUnder(room, scope)) this.#rooms.delete(room)
  }

  /** Does some of what {@link save} would have to. Gives whether that was all. */
  prepare(): boolean {
    return this.#rooms.prepare() && this.#heard.prepare()
  }

  save(): unknown {
    return { seq: this.#seq, rooms: this.#rooms.save(), heard: this.#heard.save() }
  }

  load(state: unknown): void {
    const { seq, rooms, heard } = (state ?? {}) as { seq?: unknown; rooms?: unknown; heard?: unknown }
    if (!isNumber(seq)) return
    this.#seq = seq
    this.#rooms.read(rooms, (value, name) => this.#makeRoom(name, value))
    this.#heard.load(heard)
  }

  #returns(said: GuardMessage, me: Speaker, talk: SpeakerStatistics): number {
    if (talk.isReturn(me, said.ts)) return 1
    return isDirect(said.room) && this.#heard.hasFrom(said.to, said.from, me.last) ? 2 : 0
  }

  #makeRoom(name: string, state?: unknown): Room {
    const { talk, all } = (state ?? {}) as { talk?: unknown; all?: unknown }
    const { conversationRegainMs, slowWindowMs } = this.#limits
    return {
      // By then the budget has regained what such a return would cost.
      talk: SpeakerStatistics.load(this.#limits, 2 * conversationRegainMs, talk),
      all: isDirect(name) ? undefined : SpeakerStatistics.load(this.#limits, slowWindowMs, all),
    }
  }
}

/** Whether it only says how things stand, to nobody: no answer, and none to who speaks after it. */
function isPlainStatus({ kind, to, answers }: GuardMessage): boolean {
  return kind === "status" && to.length === 0 && answers === undefined
}

/** Whether a room is that of direct messages of two agents. */
function isDirect(room: string): boolean {
  return room.includes(" ")
}
