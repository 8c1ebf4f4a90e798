import { isNumber } from "./plain.js"
import { Recent } from "./recent.js"

/** The last message of an agent that somebody has heard of. */
type Word = readonly [id: string, seq: number]

/** Agents whose words are followed on their way to one agent. */
const heardKept = 16
const nothing: readonly Word[] = []

/** Whose words have come to whom, by whatever way. */
export class Heard {
  /** By agent, the newest first. */
  readonly #words = new Recent<readonly Word[]>(4_096, 60_000)

  /**
   * What was said to `from` before goes with its words to `target`.
   * @param seq - number of the message among all
   */
  tell(from: string, target: string, seq: number): void {
    if (from === target) return
    const before = this.#words.get(target) ?? nothing
    const brought = this.#words.get(from) ?? nothing
    const heard: Word[] = [[from, seq]]
    let [b, c] = [0, 0]
    while (heard.length < heardKept) {
      const [own, other] = [before[b], brought[c]]
      const next = (own?.[1] ?? 0) >= (other?.[1] ?? 0) ? own : other
      if (next === undefined) break
      if (next === own) b++
      else c++
      if (next[0] !== target && !isAmong(heard, next[0])) heard.push(next)
    }
    this.#words.set(target, heard)
  }

  /** Whether what one of `targets` said after the message `seq` has come to `agent`. */
  hasFrom(targets: readonly string[], agent: string, seq: number): boolean {
    const heard = this.#words.get(agent) ?? nothing
    return heard.length > 0 && targets.some((target) => heard.some(([id, at]) => id === target && at > seq))
  }

  prepare(): boolean {
    return this.#words.prepare()
  }

  save(): unknown {
    return this.#words.save()
  }

  load(state: unknown): void {
    this.#words.load(state, isHeard)
  }
}

function isAmong(words: readonly Word[], agent: string): boolean {
  for (const [id] of words) if (id === agent) return true
  return false
}

function isHeard(value: unknown): value is Word[] {
  return Array.isArray(value) && value.every(isWord)
}

function isWord(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [id, seq] = value as unknown[]
  return typeof id === "string" && isNumber(seq)
}
