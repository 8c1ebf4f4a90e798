/** Words of a text, in lower case. */
export interface Words {
  /** What the words are in: the text, or its form NFKC. */
  readonly text: string
  readonly count: number
  /** Where each word starts and ends. */
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** A number of 32 bits for each. */
  readonly hashes: Int32Array
}

const isWord = 1
const isNone = 2

const inWord = /[\p{L}\p{N}\p{M}'’]/u
/** What nobody sees: put between letters, it would make another text of the same words. */
const unseen = /\p{Default_Ignorable_Code_Point}+/gu
/** What is known of each code; 0: nobody has asked yet. */
const kinds = new Uint8Array(0x10000)
/** Of ASCII: the code in lower case where it is part of a word, or else 0. */
const ascii = Uint8Array.from({ length: 128 }, (_, code) => {
  const letter = String.fromCharCode(code)
  return inWord.test(letter) ? letter.toLowerCase().charCodeAt(0) : 0
})

// What is read into: each text is done with before the next one is read.
let starts = new Uint32Array(8_192)
let ends = new Uint32Array(8_192)
let hashes = new Int32Array(8_192)
let bytes = Buffer.alloc(49_152)
/** Several ask for the same text, one after the other. */
let last: (Words & { readonly of: string }) | undefined

/** Reads the words of a text, in form NFKC. The result holds until the next call. */
export function readWords(of: string): Words {
  if (last?.of === of) return last
  makeRoom(of.length)
  let text = of
  let count = readAscii(of)
  if (count === undefined) {
    text = of.replace(unseen, "").normalize("NFKC").toLowerCase()
    makeRoom(text.length)
    count = readAny(text)
  }
  last = { of, text, count, starts, ends, hashes }
  return last
}

const seed = 0xdeadbeef | 0
const factor = 2_654_435_761

/** @returns how many words; undefined: there is something beyond ASCII in it */
function readAscii(text: string): number | undefined {
  // Bytes are read faster than characters.
  if (bytes.length < 3 * text.length) bytes = Buffer.alloc(3 * text.length)
  if (bytes.write(text) > text.length) return undefined
  const from = bytes
  let [start, count, hash] = [-1, 0, seed]
  for (let i = 0; i < text.length; i++) {
    const letter = ascii[from[i] ?? 0] ?? 0
    if (letter !== 0) {
      if (start < 0) start = i
      hash = Math.imul(hash ^ letter, factor)
    } else if (start >= 0) {
      keep(count++, start, i, hash)
      start = -1
      hash = seed
    }
  }
  if (start >= 0) keep(count++, start, text.length, hash)
  return count
}

/** @param text - in form NFKC and lower case */
function readAny(text: string): number {
  let [start, count, hash] = [-1, 0, seed]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isPair = isSurrogate(code) && (text.codePointAt(i) ?? 0) > 0xffff
    const isInside = isPair ? inWord.test(text.slice(i, i + 2)) : isOfWord(code)
    if (isInside) {
      if (start < 0) start = i
      hash = Math.imul(hash ^ code, factor)
      if (isPair) hash = Math.imul(hash ^ text.charCodeAt(i + 1), factor)
    } else if (start >= 0) {
      keep(count++, start, i, hash)
      start = -1
      hash = seed
    }
    if (isPair) i++
  }
  if (start >= 0) keep(count++, start, text.length, hash)
  return count
}

function keep(word: number, start: number, end: number, hash: number): void {
  starts[word] = start
  ends[word] = end
  hashes[word] = hash ^ (hash >>> 15)
}

/** @param length - of a text: every second character may be a word */
function makeRoom(length: number): void {
  if (2 * starts.length > length) return
  starts = new Uint32Array(length)
  ends = new Uint32Array(length)
  hashes = new Int32Array(length)
}

function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff
}

function isOfWord(code: number): boolean {
  const known = kinds[code] ?? 0
  if (known !== 0) return known === isWord
  const found = inWord.test(String.fromCharCode(code))
  kinds[code] = found ? isWord : isNone
  return found
}
