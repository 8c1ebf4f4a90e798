/** Words of a text as codes of characters, in lower case, with a space after each. */
export interface Words {
  readonly codes: Uint16Array
  readonly count: number
  /** Where each word starts, and where one more would. */
  readonly starts: Uint32Array
}

const space = 32
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
let codes = new Uint16Array(32_768)
let starts = new Uint32Array(16_385)
/** Several ask for the same text, one after the other. */
let last: (Words & { readonly text: string }) | undefined

/** Reads the words of a text, in form NFKC. The result holds until the next call. */
export function readWords(text: string): Words {
  if (last?.text === text) return last
  const count = readAscii(text) ?? readAny(text.replace(unseen, "").normalize("NFKC").toLowerCase())
  last = { text, codes, count, starts }
  return last
}

/** @returns how many words; undefined: there is something beyond ASCII in it */
function readAscii(text: string): number | undefined {
  const [into, ends] = makeRoom(text.length)
  let [at, start, count] = [0, 0, 0]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return undefined
    const letter = ascii[code] ?? 0
    if (letter !== 0) into[at++] = letter
    else if (at > start) {
      into[at++] = space
      start = at
      ends[++count] = at
    }
  }
  if (at > start) ends[++count] = at + 1
  return count
}

/** @param text - in form NFKC and lower case */
function readAny(text: string): number {
  const [into, ends] = makeRoom(text.length)
  let [at, start, count] = [0, 0, 0]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isPair = isSurrogate(code) && (text.codePointAt(i) ?? 0) > 0xffff
    const isInside = isPair ? inWord.test(text.slice(i, i + 2)) : isOfWord(code)
    if (isInside) into[at++] = code
    else if (at > start) {
      into[at++] = space
      start = at
      ends[++count] = at
    }
    if (!isPair) continue
    i++
    if (isInside) into[at++] = text.charCodeAt(i)
  }
  if (at > start) ends[++count] = at + 1
  return count
}

function makeRoom(length: number): [Uint16Array, Uint32Array] {
  if (codes.length <= length) {
    codes = new Uint16Array(2 * length)
    starts = new Uint32Array(length + 1)
  }
  return [codes, starts]
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
