import { isNumber, isPlain, isTexts } from "../base/plain.js"

/** Speakers told apart in a room. */
const speakersKept = 64
/** The messages counted last. */
const idsKept = 10

/** Turns in parts of a day, of two agents or in a room. */
export class DailyTurns {
  /** Each part and the turns in it, oldest first. */
  #parts: [part: number, turns: number][] = []
  #ids: string[] = []
  /** Of a room: who took turns, and how many; who took the last one at the end. */
  readonly #speakers = new Map<string, number>()
  #turnsOfSpeakers = 0

  /** Takes over what {@link toJSON} gave. */
  static load(state: unknown): DailyTurns | undefined {
    if (!isPlain(state)) return undefined
    const { parts, ids, speakers } = state
    if (!isRows(parts, isNumber) || !isRows(speakers, isText) || !isTexts(ids)) return undefined
    const day = new DailyTurns()
    day.#parts = parts
    day.#ids = ids
    for (const [agent, turns] of speakers) day.#setSpeaker(agent, turns)
    return day
  }

  /** The messages counted last. */
  get ids(): readonly string[] {
    return this.#ids
  }

  /** How many took turns, of a room. */
  get speakers(): number {
    return this.#speakers.size
  }

  /** Turns of all of them. */
  get turnsOfSpeakers(): number {
    return this.#turnsOfSpeakers
  }

  /** Turns of one of them. */
  ownOf(agent: string): number {
    return this.#speakers.get(agent) ?? 0
  }

  /** Turns since the part `oldest` began. */
  turnsSince(oldest: number): number {
    let sum = 0
    for (const [part, turns] of this.#parts) if (part >= oldest) sum += turns
    return sum
  }

  /**
   * Counts a turn.
   * @param id - of the message
   * @param now - the part it is in, and the oldest that is still counted
   */
  add(
    id: string,
    { oldest, part }: { readonly oldest: number; readonly part: number },
    speaker?: string,
  ): void {
    while ((this.#parts[0]?.[0] ?? oldest) < oldest) this.#parts.shift()
    const own = speaker === undefined ? 0 : this.ownOf(speaker)
    // Nothing of a day that is over counts in who spoke most.
    if (this.#parts.length === 0) this.#forgetSpeakers()
    if (speaker !== undefined) this.#setSpeaker(speaker, own + 1)
    const newest = this.#parts.at(-1)
    if (newest?.[0] === part) newest[1]++
    else this.#parts.push([part, 1])
    this.#ids.push(id)
    if (this.#ids.length > idsKept) this.#ids.shift()
  }

  /** One of the turns counted last was none. */
  takeBack(): void {
    const newest = this.#parts.at(-1)
    if (newest === undefined) return
    newest[1] = Math.max(0, newest[1] - 1)
    if (newest[1] === 0) this.#parts.pop()
  }

  /** Takes back the share of the turns that was an agent's. Gives whether it had any. */
  remove(agent: string): boolean {
    const own = this.#speakers.get(agent)
    if (own === undefined) return false
    const left = 1 - own / this.#turnsOfSpeakers
    for (const row of this.#parts) row[1] *= left
    this.#setSpeaker(agent, 0)
    return true
  }

  toJSON(): unknown {
    return { parts: this.#parts, ids: this.#ids, speakers: [...this.#speakers] }
  }

  #forgetSpeakers(): void {
    this.#speakers.clear()
    this.#turnsOfSpeakers = 0
  }

  /** @param turns - 0: it is forgotten */
  #setSpeaker(agent: string, turns: number): void {
    this.#turnsOfSpeakers += turns - this.ownOf(agent)
    this.#speakers.delete(agent)
    if (turns > 0) this.#speakers.set(agent, turns)
    const [oldest = ""] = this.#speakers.size > speakersKept ? this.#speakers.keys() : []
    if (oldest !== "") this.#setSpeaker(oldest, 0)
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string"
}

function isRows<T>(value: unknown, isFirst: (first: unknown) => first is T): value is [T, number][] {
  if (!Array.isArray(value)) return false
  return value.every((row: unknown) => {
    if (!Array.isArray(row) || row.length !== 2) return false
    const [first, second] = row as unknown[]
    return isFirst(first) && isNumber(second)
  })
}
