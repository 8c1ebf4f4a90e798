import { isNumber, isNumbers } from "../base/plain.js"
import { readWords, type Words } from "./words.js"

/** What tells whether a text is the same as another, word for word. */
interface Digest {
  /** Of the words alone: case, spaces and punctuation do not count. */
  readonly hash: number
  readonly words: number
}

/** Words in a group. */
const groupWords = 5
/** Characters whose words are looked at; what comes after them is hashed as it stands. */
const charactersRead = 16_384
/** Groups of a text that are compared; of more, some are chosen by what they are. */
const groupsCompared = 128
/** Parts of a sketch. The first alone tells nearly every two texts apart if they are not similar. */
const parts = 4
const bitsOfPart = 32
/** Of so many groups, 1 KiB, the hashes are kept until the other parts are asked for, which is seldom. */
const groupsKept = 256

/** Hashes of the groups that are compared; a text is done with before the next one comes. */
const chosen = new Int32Array(8 * groupsCompared)
/** The same as text, two characters for each group: what a text costs to keep. */
const chosenBytes = Buffer.from(chosen.buffer)

/** What the hashes are multiplied by for each minimum: odd, and at random. */
const multipliers = Int32Array.from({ length: parts * bitsOfPart }, (_, n) => {
  // The end of MurmurHash3.
  let h = Math.imul(n + 1, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) | 1
})

/** What is asked for once is asked for again: by each who looks at a message, before it is taken and when it is. */
let last: { readonly text: string; readonly sketch: Sketch } | undefined

/**
 * Enough of a text to tell whether another is the same, or nearly; small, whatever the text is: b-bit minwise hashing (Li
 * and König, 2010), one bit of each of 128 minima. Most of them are worked out only when they are needed.
 */
export class Sketch implements Digest {
  readonly hash: number
  readonly words: number
  /** Of the same text the same, of a similar one nearly. */
  readonly first: number
  /** The other parts; undefined: they were not asked for. */
  #others: readonly number[] | undefined
  /** What the other parts are made of, two characters for each group. */
  #groups = ""

  private constructor({ hash, words }: Digest, first: number, others?: readonly number[]) {
    this.hash = hash
    this.words = words
    this.first = first
    this.#others = others
  }

  static of(text: string): Sketch {
    const words = readWords(text.slice(0, charactersRead))
    const groups = chooseGroups(words)
    const isLong = groups > groupsKept
    const sketch = new Sketch(digest(words, text), partOf(groups, 0), isLong ? othersOf(groups) : undefined)
    if (isLong) return sketch
    sketch.#groups = chosenBytes.toString("utf16le", 0, 4 * groups)
    return sketch
  }

  /** Takes over what {@link toJSON} gave. */
  static load(state: unknown): Sketch | undefined {
    const [hash, words, ...saved] = Array.isArray(state) ? (state as unknown[]) : []
    if (!isNumber(hash) || !isNumber(words) || !isNumbers(saved) || saved.length !== parts) return undefined
    const [first = 0, ...others] = saved
    return new Sketch({ hash, words }, first, others)
  }

  toJSON(): unknown {
    return [this.hash, this.words, this.first, ...this.#rest()]
  }

  /** How similar the texts are: the share of groups of five words they have in common, 0 to 1, to within about 0.05. */
  similarity(other: Sketch): number {
    if (this.hash === other.hash) return 1
    const theirs = other.#rest()
    let bits = differing(this.first, other.first)
    for (const [n, part] of this.#rest().entries()) bits += differing(part, theirs[n] ?? 0)
    return shareOf(bits)
  }

  #rest(): readonly number[] {
    if (this.#others !== undefined) return this.#others
    const groups = this.#groups.length / 2
    chosenBytes.write(this.#groups, "utf16le")
    this.#groups = ""
    this.#others = othersOf(groups)
    return this.#others
  }
}

/** Whether the {@link Sketch.first} of two texts tells that they are not so similar. */
export function isOther(a: number, b: number, least: number): boolean {
  return shareOf(differing(a, b)) < least
}

/** The sketch of a text. */
export function sketchOf(text: string): Sketch {
  if (last?.text !== text) last = { text, sketch: Sketch.of(text) }
  return last.sketch
}

/** The part of a sketch that tells whether two texts are the same. */
export function digestOf(text: string): Digest {
  return sketchOf(text)
}

/** The share that is common to two texts, at most, if their sketches differ in so many bits. */
function shareOf(bits: number): number {
  return Math.max(0, 1 - (2 * bits) / (parts * bitsOfPart))
}

/** In how many bits two parts differ. */
function differing(a: number, b: number): number {
  let x = a ^ b
  x -= (x >>> 1) & 0x55555555
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/**
 * Hashes all words and what follows to a number of 53 bits, as cyrb53 does; not against those who look for collisions, who
 * may as well write new text.
 */
function digest({ count, hashes }: Words, text: string): Digest {
  let a = 0xdeadbeef | 0
  let b = 0x41c6ce57
  for (let word = 0; word < count; word++) {
    const hash = hashes[word] ?? 0
    a = Math.imul(((a << 13) | (a >>> 19)) ^ hash, 2_654_435_761)
    b = Math.imul(((b << 13) | (b >>> 19)) ^ hash, 1_597_334_677)
  }
  // A text without any word is compared as it stands.
  for (let i = count === 0 ? 0 : charactersRead; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return { hash: 4_294_967_296 * (2_097_151 & b) + (a >>> 0), words: count }
}

/** What a word counts more than the next one of its group, and the first more than the last. */
const factor = 0x9e3779b1
const factorOfFirst = Math.imul(Math.imul(factor, factor), Math.imul(factor, factor))

/** Hashes the groups that are compared, each from the one before. @returns how many of `chosen` */
function chooseGroups({ count, hashes }: Words): number {
  const groups = Math.max(1, count - groupWords + 1)
  const rest = 2 ** Math.max(0, Math.floor(Math.log2(groups / groupsCompared))) - 1
  let group = 0
  for (let word = 0; word < Math.min(count, groupWords - 1); word++)
    group = (Math.imul(group, factor) + (hashes[word] ?? 0)) | 0
  let [found, hash] = [0, 0]
  for (let first = 0; first < groups; first++) {
    const newest = first + groupWords - 1
    if (newest < count) group = (Math.imul(group, factor) + (hashes[newest] ?? 0)) | 0
    hash = Math.imul(group ^ (group >>> 16), 0x85ebca6b)
    hash ^= hash >>> 13
    if ((hash & rest) === 0 && found < chosen.length) chosen[found++] = hash
    group = (group - Math.imul(hashes[first] ?? 0, factorOfFirst)) | 0
  }
  // Of a text that repeats itself, none may be chosen.
  if (found === 0) chosen[found++] = hash
  return found
}

function othersOf(groups: number): readonly number[] {
  return [partOf(groups, 1), partOf(groups, 2), partOf(groups, 3)]
}

/** A part of a sketch. @param groups - how many of `chosen` */
function partOf(groups: number, part: number): number {
  let bits = 0
  for (let n = 0; n < bitsOfPart; n++) bits = (bits << 1) | (leastOf(groups, part * bitsOfPart + n) & 1)
  return bits
}

/** The minimum of the groups' hashes, multiplied in the `n`th way. */
function leastOf(groups: number, n: number): number {
  const multiplier = multipliers[n] ?? 1
  let least = 0x7fffffff
  for (let i = 0; i < groups; i++) {
    let h = Math.imul(chosen[i] ?? 0, multiplier)
    h ^= h >>> 15
    if (h < least) least = h
  }
  return least
}
