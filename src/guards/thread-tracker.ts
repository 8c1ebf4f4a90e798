import { isNumber, isPlain, isTexts } from "../base/plain.js"
import type { Kind } from "../protocol/message-kinds.js"
import type { GuardMessage, Parent, Traced } from "./guard-message.js"
import type { GuardLimits } from "./limits.js"
import { SavedMap } from "./saved-map.js"
import { isUnder, othersThan, towards } from "./scopes.js"

/** What {@link ThreadTracker.trace} adds to a message. */
type Origin = Pick<Traced, "parent" | "hops" | "chain" | "via" | "trail" | "turnsWith">

type Line = Pick<Traced, "chain" | "via">

/** A message that was taken. */
interface Memory {
  readonly from: string
  readonly kind?: Kind | undefined
  readonly asks: boolean
  readonly chain: number
  readonly via: readonly string[]
  readonly ts: number
  readonly room: string
  /** What it answered. */
  readonly up?: string | undefined
  /** Number of the message among all that were taken. */
  readonly seq: number
}

/** The last message one agent put to another. */
interface Word {
  readonly id: string
  readonly ts: number
  readonly seq: number
}

const noLine: Line = { chain: 0, via: [] }
const noTrail = (): string[] => []

/** Fractions lost when a chain fades. */
const rounding = 1e-6
const trailLength = 10
/** Authors remembered of a thread; more than any thread may have, unless an operator lets it. */
const viaLength = 32

/**
 * Where messages come from: what each answers, and how many stand before it. A message answers what `in_reply_to` names,
 * and what its author was told last by whom it writes to, if that was just now; the longer of the two chains counts, so
 * that nothing is won by leaving the reference out or by naming the beginning again.
 */
export class ThreadTracker {
  readonly #followMs: number
  readonly #fadeMs: number
  readonly #messages = new SavedMap<Memory>(8_192, 250_000)
  /** By `from to`. */
  readonly #words = new SavedMap<Word>(16_384, 100_000)
  /** By agent or room: messages up to this number have no past any more. */
  readonly #fresh = new SavedMap<number>(2_048, 40_000)
  #seq = 0
  #allFresh = 0
  #lastTs = 0

  constructor(limits: GuardLimits) {
    this.#followMs = limits.hopsFollowMs
    this.#fadeMs = limits.hopsFadeMs
  }

  trace(said: GuardMessage): Origin {
    const named = this.#named(said)
    let parent = named
    let line = this.#lineOf(named, said)
    const turnsWith: string[] = []
    for (const target of targetsOf(said, named)) {
      const theirs = this.#words.get(towards(target, said.from))
      if (theirs === undefined) continue
      // The last word between the two is the target's.
      if (theirs.seq > (this.#words.get(towards(said.from, target))?.seq ?? 0)) turnsWith.push(target)
      // What it told the author just now.
      const candidate = said.ts - theirs.ts >= this.#followMs ? undefined : this.#find(theirs.id)
      if (candidate === undefined) continue
      const next = this.#lineOf(candidate, said)
      if (parent !== undefined && next.chain <= line.chain) continue
      if (named === undefined) parent = candidate
      line = next
    }
    const { chain, via } = line
    const trail = parent === undefined ? noTrail : this.#trailTo.bind(this, parent.id, said.from)
    return { parent, hops: Math.floor(chain + rounding), chain, via, trail, turnsWith }
  }

  /** What a message was passed on with, if it was taken in that room and is remembered. */
  find(id: string, room: string): Pick<Traced, "hops" | "kind"> | undefined {
    const memory = this.#messages.get(id)
    // An id that was taken elsewhere and could not be delivered there is no pass for here.
    return memory?.room !== room
      ? undefined
      : { hops: Math.floor(memory.chain + rounding), kind: memory.kind }
  }

  /** When the last message was taken or refused; 0: none was. */
  get lastTs(): number {
    return this.#lastTs
  }

  /** Nothing is taken of a message that is refused, but time has gone on. */
  refuse({ ts }: GuardMessage): void {
    this.#lastTs = ts
  }

  note(said: Traced): void {
    const seq = ++this.#seq
    this.#lastTs = said.ts
    const { id, ts, from, kind, chain, via, room, parent } = said
    this.#messages.set(id, { from, kind, asks: asks(said), chain, via, ts, room, seq, up: parent?.id })
    for (const target of targetsOf(said, this.#named(said)))
      this.#words.set(towards(from, target), { id, ts, seq })
  }

  refill(agents: readonly string[]): void {
    for (const agent of agents) this.#fresh.set(agent, this.#seq)
  }

  spoke(room: string): void {
    this.#fresh.set(room, this.#seq)
  }

  reset(scope: string | undefined): void {
    if (scope === undefined) this.#allFresh = this.#seq
    else for (const name of scope.split(" ")) this.#fresh.set(name, this.#seq)
    for (const [pair] of this.#words.entries()) if (isUnder(pair, scope)) this.#words.delete(pair)
  }

  /** Does some of what {@link save} would have to. Gives whether that was all. */
  prepare(): boolean {
    return this.#messages.prepare() && this.#words.prepare()
  }

  save(): unknown {
    return {
      seq: this.#seq,
      allFresh: this.#allFresh,
      ts: this.#lastTs,
      messages: this.#messages.save(),
      words: this.#words.save(),
      fresh: this.#fresh.save(),
    }
  }

  load(state: unknown): void {
    if (!isPlain(state) || !isNumber(state["seq"])) return
    this.#seq = state["seq"]
    this.#allFresh = isNumber(state["allFresh"]) ? state["allFresh"] : 0
    this.#lastTs = isNumber(state["ts"]) ? state["ts"] : 0
    this.#messages.load(state["messages"], isMemory)
    this.#words.load(state["words"], isWord)
    this.#fresh.load(state["fresh"], isNumber)
  }

  #find(id: string | undefined): (Memory & Parent) | undefined {
    const memory = id === undefined ? undefined : this.#messages.get(id)
    if (id === undefined || memory === undefined) return undefined
    const { from, kind, asks, chain, via, ts, room, up, seq } = memory
    return { id, from, kind, asks, chain, via, ts, room, up, seq }
  }

  /** What `in_reply_to` names. Direct messages of others are nobody's to answer: no stranger learns of them by guessing. */
  #named({ answers, from }: GuardMessage): (Memory & Parent) | undefined {
    const memory = this.#find(answers)
    return memory !== undefined && isOpenTo(memory.room, from) ? memory : undefined
  }

  #trailTo(parent: string, reader: string): string[] {
    const trail: string[] = []
    let id: string | undefined = parent
    while (id !== undefined && trail.length < trailLength) {
      const memory = this.#messages.get(id)
      if (memory !== undefined && !isOpenTo(memory.room, reader)) break
      trail.unshift(id)
      id = memory?.up
    }
    return trail
  }

  #lineOf(parent: Memory | undefined, said: GuardMessage): Line {
    if (parent === undefined) return noLine
    // Work was done since, or an operator spoke: the thread goes on, its count begins anew.
    if (this.#isFresh(parent, said)) return { chain: 1, via: [parent.from] }
    const chain =
      Math.max(0, parent.chain - Math.max(0, said.ts - parent.ts - this.#followMs) / this.#fadeMs) + 1
    const authors = [...parent.via, parent.from]
    return { chain, via: authors.slice(-Math.min(Math.floor(chain + rounding), viaLength)) }
  }

  #isFresh(parent: Memory | undefined, said: GuardMessage): boolean {
    if (parent === undefined || parent.seq <= this.#allFresh) return true
    if (this.#fresh.size === 0) return false
    return [parent.from, said.from, parent.room].some((name) => parent.seq <= (this.#fresh.get(name) ?? 0))
  }
}

/** Direct messages are between two; the rest is the relay's to keep apart. */
function isOpenTo(room: string, agent: string): boolean {
  return !room.includes(" ") || isUnder(room, agent)
}

function asks({ kind, text }: GuardMessage): boolean {
  return kind === "request" || text.slice(-1_000).includes("?")
}

/** Whom a message is for. */
function targetsOf(said: GuardMessage, named: Pick<Memory, "from"> | undefined): readonly string[] {
  return othersThan(said.from, said.to, named === undefined ? [] : [named.from])
}

function isMemory(value: unknown): value is Memory {
  return (
    isPlain(value) &&
    typeof value["from"] === "string" &&
    (value["kind"] === undefined || typeof value["kind"] === "string") &&
    typeof value["asks"] === "boolean" &&
    isNumber(value["chain"]) &&
    isNumber(value["ts"]) &&
    isTexts(value["via"]) &&
    typeof value["room"] === "string" &&
    (value["up"] === undefined || typeof value["up"] === "string") &&
    isNumber(value["seq"])
  )
}

function isWord(value: unknown): value is Word {
  return isPlain(value) && typeof value["id"] === "string" && isNumber(value["ts"]) && isNumber(value["seq"])
}
