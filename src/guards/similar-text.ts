/** Enough of a text to tell whether another is the same, or nearly; small, whatever the text is. */
export interface Sketch {
  /** Of the words alone: case, spaces and punctuation do not count. */
  readonly hash: number
  /** 128 bits, 32 hexadecimal digits: the share that two texts have in common tells how similar they are. */
  readonly bits: string
  readonly words: number
}

/** Words in a group. */
const groupWords = 5
/** Characters whose words are looked at, so that the longest text costs a millisecond. */
const charactersRead = 16_384
/** Groups of a text that are compared; of more, some are chosen by what they are. */
const groupsCompared = 256
const bitCount = 128

/** Words of a text in lower case, without what stands between them. */
export function wordsOf(text: string): string[] {
  return (
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}'’]+/gu) ?? []
  )
}

/** The sketch of a text: b-bit minwise hashing (Li and König, 2010), one bit of each of 128 minima. */
export function sketchOf(text: string): Sketch {
  const words = wordsOf(text.slice(0, charactersRead))
  // A text without any word is compared as it stands.
  const hash = hashOf(words.length === 0 ? text : words.join(" ") + text.slice(charactersRead))
  const groups = Math.max(1, words.length - groupWords + 1)
  const oneOf = 2 ** Math.max(0, Math.floor(Math.log2(groups / groupsCompared)))
  const minima = new Uint32Array(bitCount).fill(0xffffffff)
  for (let first = 0; first < groups; first++) {
    const group = hashOf(words.slice(first, first + groupWords).join(" ")) % 0x100000000
    if (group % oneOf !== 0) continue
    for (let n = 0; n < bitCount; n++) {
      const value = mix(group ^ Math.imul(n + 1, 0x9e3779b1))
      if (value < (minima[n] ?? 0)) minima[n] = value
    }
  }
  let bits = ""
  for (let n = 0; n < bitCount; n += 4) {
    const digit = [0, 1, 2, 3].reduce((sum, bit) => sum * 2 + ((minima[n + bit] ?? 0) & 1), 0)
    bits += digit.toString(16)
  }
  return { hash, bits, words: words.length }
}

/** How similar two texts are: the share of groups of five words they have in common, 0 to 1, to within about 0.05. */
export function similarity(a: Sketch, b: Sketch): number {
  if (a.hash === b.hash) return 1
  let differing = 0
  for (let at = 0; at < a.bits.length; at += 8) {
    let x = Number.parseInt(a.bits.slice(at, at + 8), 16) ^ Number.parseInt(b.bits.slice(at, at + 8), 16)
    for (; x !== 0; x &= x - 1) differing++
  }
  return Math.max(0, 1 - (2 * differing) / bitCount)
}

/** A number of 53 bits for a text (cyrb53); not against those who look for collisions, who may as well write new text. */
function hashOf(text: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909)
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
  return 4_294_967_296 * (2_097_151 & b) + (a >>> 0)
}

/** Mixes 32 bits (the end of MurmurHash3). */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
