import { maxJsonDepth } from "../../base/strict-json.js"

/** Where a text stops being JSON, told to a person or agent who wrote it by hand. */
export interface JsonFault {
  /** Counted in characters, from 1. */
  readonly column: number
  readonly reason: string
  /** One sentence telling how to fix it. */
  readonly hint: string
}

/** A line as it should be written in a shell. */
export const shellExample = `echo '{"to":"#general","content":"hi"}' >> outbox.jsonl`

const oneObject = `a line holds one whole object: ${shellExample}`
const doubleQuotes = `names and texts take double quotes, the whole line single ones: ${shellExample}`
const escapes = 'after a backslash only " \\ / b f n r t u may stand; a ! needs none'

/**
 * Finds the first place at fault. Slow, for the message only: the parser has refused the text already.
 * @returns undefined when the syntax is right, or nested too deeply to look
 */
export function findJsonFault(text: string): JsonFault | undefined {
  try {
    new JsonReader(text).readAll()
    return undefined
  } catch (error) {
    if (error instanceof TooDeep) return undefined
    if (!(error instanceof FaultFound)) throw error
    const column = Array.from(text.slice(0, error.index)).length + 1
    return { column, reason: error.reason, hint: error.hint }
  }
}

class TooDeep extends Error {}

class FaultFound extends Error {
  readonly index: number
  readonly reason: string
  readonly hint: string
  constructor(index: number, reason: string, hint: string) {
    super(reason)
    this.index = index
    this.reason = reason
    this.hint = hint
  }
}

/** Walks over a text by the grammar of RFC 8259 and builds nothing. */
class JsonReader {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  readAll(): void {
    this.#value()
    this.#space()
    if (this.#at < this.#text.length) {
      this.#fail("something follows the end of the object", "write one object per line")
    }
  }

  #value(): void {
    this.#space()
    const char = this.#text[this.#at]
    if (char === "{") this.#members()
    else if (char === "[") this.#items()
    else if (char === '"') this.#string()
    else if (!this.#skip(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y))
      this.#unexpected("a value")
  }

  #members(): void {
    this.#list("}", () => {
      if (this.#text[this.#at] !== '"') this.#unexpected('a name in "double quotes"')
      this.#string()
      this.#space()
      if (!this.#skip(/:/y)) this.#unexpected('":"')
      this.#value()
    })
  }

  #items(): void {
    this.#list("]", () => {
      this.#value()
    })
  }

  #list(end: string, item: () => void): void {
    if (++this.#depth > maxJsonDepth) throw new TooDeep()
    this.#at++
    this.#space()
    if (this.#text[this.#at] === end) this.#at++
    else {
      do {
        this.#space()
        if (this.#text[this.#at] === end) this.#fail("a comma stands before the end", "remove the last comma")
        item()
        this.#space()
      } while (this.#skip(/,/y))
      if (this.#text[this.#at] !== end) this.#unexpected(`"," or "${end}"`)
      this.#at++
    }
    this.#depth--
  }

  #string(): void {
    this.#at++
    while (this.#skip(/[^"\\\u0000-\u001f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}/y));
    const char = this.#text[this.#at]
    if (char === undefined) {
      this.#fail(
        "the line ends inside a text",
        "write a line break inside a text as \\n, and close its quote",
      )
    }
    if (char === "\\") this.#fail(`a backslash before ${this.#show(this.#at + 1)}`, escapes)
    if (char !== '"') {
      this.#fail(`${this.#show(this.#at)} inside a text`, "write a tab as \\t and other controls as \\u00XX")
    }
    this.#at++
  }

  #unexpected(wanted: string): never {
    const char = this.#text[this.#at]
    if (char === undefined) this.#fail(`the line ends where ${wanted} should be`, oneObject)
    const hint = this.#at === 0 || /[\]}:,[{]/.test(char) ? oneObject : doubleQuotes
    return this.#fail(`${this.#show(this.#at)} where ${wanted} should be`, hint)
  }

  #fail(reason: string, hint: string): never {
    throw new FaultFound(this.#at, reason, hint)
  }

  #show(index: number): string {
    const code = this.#text.codePointAt(index)
    if (code === undefined) return "the end"
    if (code === 0) return "a NUL byte"
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
      return `the control U+${code.toString(16).padStart(4, "0")}`
    return JSON.stringify(String.fromCodePoint(code))
  }

  #space(): void {
    this.#skip(/[ \t\r\n]*/y)
  }

  #skip(sticky: RegExp): boolean {
    sticky.lastIndex = this.#at
    const matched = sticky.exec(this.#text)
    if (matched === null) return false
    this.#at += matched[0].length
    return true
  }
}
