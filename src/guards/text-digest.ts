/** Texts of this length are compared without their digits, if at most one character in a hundred is a digit. */
const longText = 400
const charactersPerDigit = 100
/** FNV-1a of 32 bits; the number of letters makes the hash longer. */
const fnvOffset = 0x811c9dc5
const fnvPrime = 0x01000193

const beyondAscii = /[^\0-\x7f]/
const invisible = /\p{Default_Ignorable_Code_Point}+/gu
const digits = /[0-9]/g

/** By ASCII code: the lower-case letter or the digit; 0 for anything that separates words. */
const folds = Uint8Array.from({ length: 128 }, (_, code) => {
  const letter = String.fromCharCode(code).toLowerCase()
  return /[a-z0-9]/.test(letter) ? letter.charCodeAt(0) : 0
})

/** The same, with digits as separators. */
const letterFolds = folds.map((letter) => (letter >= 97 ? letter : 0))
/** Every character as it is. */
const identity = folds.map((_, code) => code)
const space = 32

/** The words of a text without anything else. */
interface TextDigest {
  /** Equal for texts of the same words, whatever their case and the characters between them. */
  readonly hash: number
  /** Number of words. */
  readonly words: number
}

/**
 * Digests a text so that repetitions compare equal. Case, spaces, punctuation and invisible characters never count. Digits
 * count in "build 7 passed", where the number is the news, but not in a long text that ends with "(attempt 7)".
 * @param keepsDigits - digits count in long texts too
 */
export function digestOf(text: string, keepsDigits = false): TextDigest {
  const plain = beyondAscii.test(text) ? text.replace(invisible, "").normalize("NFKC").toLowerCase() : text
  const dropsDigits =
    !keepsDigits &&
    plain.length >= longText &&
    (plain.match(digits)?.length ?? 0) * charactersPerDigit <= plain.length
  const digest = hashWords(plain, dropsDigits ? letterFolds : folds)
  // Punctuation counts where there is nothing else.
  return digest.words > 0 ? digest : { hash: hashWords(plain, identity).hash, words: 0 }
}

/** Returns a number that changes with any character of a text. */
export function checksumOf(text: string): number {
  let hash = fnvOffset
  for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), fnvPrime)
  return hash >>> 0
}

/** @param table - by ASCII code; 0 for what separates words */
function hashWords(text: string, table: Uint8Array): TextDigest {
  let hash = fnvOffset
  let words = 0
  let letters = 0
  let isInWord = false
  for (let n = 0; n < text.length; n++) {
    const code = text.charCodeAt(n)
    const letter = code < 128 ? (table[code] ?? 0) : code
    if (letter === 0) {
      isInWord = false
      continue
    }
    if (!isInWord) {
      isInWord = true
      words++
      hash = Math.imul(hash ^ space, fnvPrime)
    }
    letters++
    hash = Math.imul(hash ^ letter, fnvPrime)
  }
  return { hash: (hash >>> 0) + letters * 2 ** 32, words }
}
