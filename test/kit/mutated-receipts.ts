import type { LineVector } from "./vector-lines.js"

/** A seeded source of numbers from 0 to 1 (mulberry32), so that a difference can be found again. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const odd = [
  ...Array.from(" \t\r\0\v\f\u0085\u00a0\u2028\ufeff\\\"',:{}[]-+.0eEé\u007f"),
  "\ud83d\ude00",
  "\\u0061",
  "\\u00E9",
  "\\ud800",
  "//",
]
const numbers = [
  ..."1.0 1e0 1E3 -0 -1 00 01 0.5 1e400 9007199254740991 9007199254740992 9007199254740993".split(" "),
  ...'9999999999999999 12345678901234567890 1. .5 +1 0x1 true false null NaN Infinity "1" ١'.split(" "),
]
const added = [
  ...'"note":1 "1":1 "10":1,"9":1 "9":1,"10":1 "0":{} "__proto__":{} "":0'.split(" "),
  ...'"payloadType":1 "v":1 "\\u0076":1 "type":"RECEIPT" "x":undefined'.split(" "),
]

/** Makes lines and files that verifiers of receipts may read differently. */
export class ReceiptMutator {
  readonly #random: () => number
  readonly #lines: readonly string[]

  /** @param vectors - those of which the valid ones are changed */
  constructor(seed: number, vectors: readonly LineVector[]) {
    this.#random = randomOf(seed)
    this.#lines = vectors.filter(({ verdict }) => verdict === "valid").map(({ bytes }) => bytes.toString())
  }

  /** Returns a line without LF: a valid receipt with one to three changes. */
  line(): Buffer {
    let text = this.#pick(this.#lines)
    for (let left = 1 + this.#below(3); left > 0; left--) text = this.#change(text)
    const bytes = Buffer.from(text.replaceAll("\n", " "))
    if (this.#below(12) === 0) bytes[this.#below(bytes.length)] = 0x80 + this.#below(0x80)
    return bytes
  }

  /** Returns a file: a few lines, or a document of some, with something odd around it. */
  file(): Buffer {
    const items = Array.from({ length: this.#below(4) }, () =>
      this.#below(3) > 0 ? Buffer.from(this.#pick(this.#lines)) : this.line(),
    )
    const edges = [
      "",
      "",
      "\n",
      " ",
      "\r\n",
      "\ufeff",
      "\u00a0",
      "\v",
      "[",
      "[\n",
      "{",
      "{ \r\n",
      "{\u00a0\n",
      "]",
      "}",
      "x",
    ]
    const isDocument = this.#below(2) === 0
    const join = this.#pick(
      isDocument ? [",", ",\n", " , "] : ["\n", "\r\n", "\n\n", "\n\u00a0\n", "\n\ufeff\n", "\r"],
    )
    const parts = items.flatMap((item, index) => (index === 0 ? [item] : [Buffer.from(join), item]))
    const inner = isDocument ? [Buffer.from("["), ...parts, Buffer.from("]")] : parts
    return Buffer.concat([Buffer.from(this.#pick(edges)), ...inner, Buffer.from(this.#pick(edges))])
  }

  #change(text: string): string {
    const at = this.#below(text.length + 1)
    switch (this.#below(9)) {
      case 0:
        return text.slice(0, at) + this.#pick(odd) + text.slice(at)
      case 1:
        return this.#pick(odd) + text
      case 2:
        return text + this.#pick(odd)
      case 3:
        return text.slice(0, at) + text.slice(at + 1)
      case 4:
        return this.#replaceOne(text, /\b[0-9]+\b(?=[,}])/g, () => this.#pick(numbers))
      case 5:
        return this.#replaceOne(text, /\{/g, () => `{${this.#pick(added)},`)
      case 6:
        return this.#replaceOne(
          text,
          /[{,:[]/g,
          (mark) => mark + this.#pick([" ", "\t", "\r", "\u00a0", "\v"]),
        )
      case 7:
        return this.#replaceOne(text, /[a-z](?=[a-z ]*")/g, (letter) => this.#escape(letter))
      default:
        return this.#replaceOne(text, /\{/g, () => `{"deep":${this.#nested(13 + this.#below(5))},`)
    }
  }

  #escape(letter: string): string {
    const hex = letter.charCodeAt(0).toString(16).padStart(4, "0")
    return `\\u${this.#below(2) === 0 ? hex : hex.toUpperCase()}`
  }

  #nested(depth: number): string {
    const inner = this.#pick(["", "1", "{}", '"x"'])
    return "[".repeat(depth) + inner + "]".repeat(depth)
  }

  #replaceOne(text: string, pattern: RegExp, replace: (match: string) => string): string {
    const found = [...text.matchAll(pattern)]
    if (found.length === 0) return text
    const match = found[this.#below(found.length)]
    const at = match?.index ?? 0
    const old = match?.[0] ?? ""
    return text.slice(0, at) + replace(old) + text.slice(at + old.length)
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T
  }

  /** Returns a whole number from 0 to below `end`. */
  #below(end: number): number {
    return Math.floor(this.#random() * end)
  }
}
