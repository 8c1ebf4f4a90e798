import { isNumbers, isPlain, isTexts } from "../base/plain.js"
import { SavedMap } from "./saved-map.js"

/** Agents whose words have come to one, the newest first, and the number of the last message of each. */
interface Words {
  readonly ids: string[]
  readonly seqs: number[]
}

/** Agents whose words are followed on their way to one agent. */
const heardKept = 16
const nothing: Words = { ids: [], seqs: [] }

/** Whose words have come to whom, by whatever way. */
export class ReadState {
  /** By agent. */
  readonly #words = new SavedMap<Words>(4_096, 60_000)

  /**
   * What was said to `from` before goes with its words to `target`.
   * @param seq - number of the message among all
   */
  tell(from: string, target: string, seq: number): void {
    if (from === target) return
    const words = { ids: [from], seqs: [seq] }
    merge(words, this.#words.get(target) ?? nothing, this.#words.get(from) ?? nothing, target)
    this.#words.set(target, words)
  }

  /** Whether what one of `targets` said after the message `seq` has come to `agent`. */
  hasFrom(targets: readonly string[], agent: string, seq: number): boolean {
    const { ids, seqs } = this.#words.get(agent) ?? nothing
    return targets.some((target) => (seqs[ids.indexOf(target)] ?? 0) > seq)
  }

  /** Does some of what {@link save} would have to. Gives whether that was all. */
  prepare(): boolean {
    return this.#words.prepare()
  }

  save(): unknown {
    return this.#words.save()
  }

  load(state: unknown): void {
    this.#words.load(state, isWords)
  }
}

/** Adds the newest of two, each agent once, but for one. */
function merge(into: Words, a: Words, b: Words, without: string): void {
  let [i, j] = [0, 0]
  while (into.ids.length < heardKept && i + j < a.ids.length + b.ids.length) {
    const isFirst = (a.seqs[i] ?? 0) >= (b.seqs[j] ?? 0)
    const seq = isFirst ? a.seqs[i] : b.seqs[j]
    const id = isFirst ? a.ids[i++] : b.ids[j++]
    if (id === undefined || seq === undefined || id === without || into.ids.includes(id)) continue
    into.ids.push(id)
    into.seqs.push(seq)
  }
}

function isWords(value: unknown): value is Words {
  if (!isPlain(value)) return false
  const { ids, seqs } = value
  return isTexts(ids) && isNumbers(seqs) && ids.length === seqs.length
}
