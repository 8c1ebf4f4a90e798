import { isNumber, isNumbers, isPlain } from "../base/plain.js"
import { isOther, Sketch } from "./similar-text.js"

/** A text that was taken. */
interface Taken {
  readonly id: string
  readonly ts: number
  readonly sketch: Sketch
}

/** More than any similarity: nothing but the words is the same. */
export const wordForWord = 2

/** What one author said in one room. */
export class History {
  /** The oldest first. */
  readonly #texts: Taken[] = []
  /** The first part of each sketch, side by side: nearly every text is told apart by that. */
  readonly #firsts: number[] = []
  /** When repetitions were dropped. */
  drops: readonly number[] = []

  /** Takes over what {@link toJSON} gave. */
  static load(state: unknown): History | undefined {
    if (!isPlain(state) || !Array.isArray(state["texts"]) || !isNumbers(state["drops"])) return undefined
    const history = new History()
    for (const text of state["texts"].flatMap(readTaken)) history.#push(text)
    history.drops = state["drops"]
    return history
  }

  /** @param most - texts that are remembered */
  add(id: string, ts: number, sketch: Sketch, most: number): void {
    this.#push({ id, ts, sketch })
    while (this.#texts.length > most) {
      this.#texts.shift()
      this.#firsts.shift()
    }
  }

  /** Texts after `ts` that are so similar, the oldest first; or {@link wordForWord} the same. */
  copiesOf(sketch: Sketch, ts: number, least: number): readonly Taken[] {
    let copies = none
    for (let n = 0; n < this.#firsts.length; n++) {
      if (isOther(this.#firsts[n] ?? 0, sketch.first, Math.min(1, least))) continue
      const text = this.#texts[n]
      if (text === undefined || text.ts <= ts) continue
      const isCopy = least > 1 ? text.sketch.hash === sketch.hash : text.sketch.similarity(sketch) >= least
      if (isCopy) copies = [...copies, text]
    }
    return copies
  }

  toJSON(): unknown {
    return { texts: this.#texts, drops: this.drops }
  }

  #push(text: Taken): void {
    this.#texts.push(text)
    this.#firsts.push(text.sketch.first)
  }
}

const none: readonly Taken[] = []

function readTaken(value: unknown): Taken[] {
  if (!isPlain(value)) return []
  const { id, ts } = value
  const sketch = Sketch.load(value["sketch"])
  return typeof id === "string" && isNumber(ts) && sketch !== undefined ? [{ id, ts, sketch }] : []
}
