import { isNumber } from "./plain.js"
import { readWords, type Words } from "./words.js"

/** What tells whether a text is the same as another, word for word. */
interface Digest {
  /** Of the words alone: case, spaces and punctuation do not count. */
  readonly hash: number
  readonly words: number
}

/** Words in a group. */
const groupWords = 5
/** Characters whose words are looked at, so that the longest text costs a millisecond. */
const charactersRead = 16_384
/** Groups of a text that are compared; of more, some are chosen by what they are. */
const groupsCompared = 256
/** Of a sketch, hexadecimal. */
const digits = 32
const bitsPerDigit = 4
const hexDigits = "0123456789abcdef"
/** Digits that tell nearly every two texts apart if they are not similar. */
const firstDigits = 8
/** Of so many groups, the hashes are kept until the other digits are asked for. */
const groupsKept = 48

/** Hashes of the groups that are compared; a text is done with before the next one comes. */
const chosen = new Uint32Array(charactersRead)
const chosenSigned = new Int32Array(chosen.buffer)
const chosenHalves = new Uint16Array(chosen.buffer)

/** What is asked for once is asked for again: by each who looks at a message, before it is taken and when it is. */
let last: { readonly text: string; readonly sketch: Sketch } | undefined

/**
 * Enough of a text to tell whether another is the same, or nearly; small, whatever the text is: b-bit minwise hashing (Li
 * and König, 2010), one bit of each of 128 minima. Most of them are worked out only when they are needed.
 */
export class Sketch implements Digest {
  readonly hash: number
  readonly words: number
  /** What the other digits are made of, two characters for each group; "": there are none left. */
  #groups = ""
  #bits: string

  private constructor({ hash, words }: Digest, bits: string) {
    this.hash = hash
    this.words = words
    this.#bits = bits
  }

  static of(text: string): Sketch {
    const words = readWords(text.slice(0, charactersRead))
    const groups = chooseGroups(words)
    const isShort = groups <= groupsKept
    const sketch = new Sketch(digest(text, words), digitsOf(groups, 0, isShort ? firstDigits : digits))
    if (isShort) sketch.#groups = String.fromCharCode(...chosenHalves.subarray(0, 2 * groups))
    return sketch
  }

  /** Takes over what {@link toJSON} gave. */
  static load(state: unknown): Sketch | undefined {
    const [hash, words, bits] = Array.isArray(state) ? (state as unknown[]) : []
    return isNumber(hash) && isNumber(words) && typeof bits === "string"
      ? new Sketch({ hash, words }, bits)
      : undefined
  }

  toJSON(): unknown {
    return [this.hash, this.words, this.bits]
  }

  /** Whether all of {@link bits} is worked out. */
  get isWhole(): boolean {
    return this.#groups === ""
  }

  /** 128 bits, 32 hexadecimal digits: the share that two texts have in common tells how similar they are. */
  get bits(): string {
    if (this.#groups === "") return this.#bits
    for (let i = 0; i < this.#groups.length; i++) chosenHalves[i] = this.#groups.charCodeAt(i)
    this.#bits += digitsOf(this.#groups.length / 2, firstDigits, digits)
    this.#groups = ""
    return this.#bits
  }

  /** How similar the texts are: the share of groups of five words they have in common, 0 to 1, to within about 0.05. */
  similarity(other: Sketch): number {
    return this.hash === other.hash ? 1 : shareOf(differing(this.bits, other.bits, digits))
  }

  /** Whether {@link similarity} is at least `least`; looks only at as much as tells. */
  isLike(other: Sketch, least: number): boolean {
    if (this.hash !== other.hash && shareOf(differing(this.#bits, other.#bits, firstDigits)) < least)
      return false
    return this.similarity(other) >= least
  }
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
  return Math.max(0, 1 - (2 * bits) / (digits * bitsPerDigit))
}

/** In how many of their bits two sketches differ, of the first `count` digits. */
function differing(a: string, b: string, count: number): number {
  let found = 0
  for (let at = 0; at < count; at++) {
    let x = valueOf(a.charCodeAt(at)) ^ valueOf(b.charCodeAt(at))
    for (; x !== 0; x &= x - 1) found++
  }
  return found
}

/** Value of a hexadecimal digit. */
function valueOf(code: number): number {
  return code < 58 ? code - 48 : code - 87
}

function digest(text: string, { codes, count, starts }: Words): Digest {
  // A text without any word is compared as it stands.
  if (count === 0) return { hash: hashOf(codes, 0, 0, text), words: 0 }
  return { hash: hashOf(codes, 0, (starts[count] ?? 1) - 1, text.slice(charactersRead)), words: count }
}

/** Hashes the groups that are compared. @returns how many of `chosen` */
function chooseGroups({ codes, count, starts }: Words): number {
  const groups = Math.max(1, count - groupWords + 1)
  const oneOf = 2 ** Math.max(0, Math.floor(Math.log2(groups / groupsCompared)))
  let found = 0
  for (let first = 0; first < groups; first++) {
    const end = (starts[Math.min(count, first + groupWords)] ?? 1) - 1
    const group = hashOf(codes, starts[first] ?? 0, end, "") >>> 0
    if ((group & (oneOf - 1)) === 0) chosen[found++] = group
  }
  return found
}

/** Some digits of a sketch. @param groups - how many of `chosen` */
function digitsOf(groups: number, from: number, to: number): string {
  let text = ""
  for (let digit = from; digit < to; digit++) {
    let value = 0
    for (let n = 0; n < bitsPerDigit; n++)
      value = (value << 1) | (leastOf(groups, digit * bitsPerDigit + n) & 1)
    text += hexDigits.charAt(value)
  }
  return text
}

/** The minimum of the groups' hashes, mixed in the `n`th way. */
function leastOf(groups: number, n: number): number {
  const salt = Math.imul(n + 1, 0x9e3779b1)
  // Compared as signed numbers, which is faster, in the order of unsigned ones.
  let least = 0x7fffffff
  for (let i = 0; i < groups; i++) {
    let h = (chosenSigned[i] ?? 0) ^ salt
    // The end of MurmurHash3.
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= (h >>> 16) ^ 0x80000000
    if (h < least) least = h
  }
  return least
}

/**
 * A number of 53 bits for codes and the text after them (cyrb53); not against those who look for collisions, who may as
 * well write new text.
 */
function hashOf(codes: Uint16Array, from: number, to: number, text: string): number {
  let a = 0xdeadbeef | 0
  let b = 0x41c6ce57
  for (let i = from; i < to; i++) {
    const code = codes[i] ?? 0
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return 4_294_967_296 * (2_097_151 & b) + (a >>> 0)
}
