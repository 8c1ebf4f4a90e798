/** An error that says why a text is not acceptable JSON. */
export class JsonError extends Error {
  override readonly name = "JsonError"
  /** The field at fault, such as `a.b[0]`; "" for the text as a whole. */
  readonly path: string
  /** Where the syntax is wrong; absent if only the content is. */
  readonly fault: JsonFault | undefined

  constructor(path: string, message: string, fault?: JsonFault) {
    super(message)
    this.path = path
    this.fault = fault
  }
}

/** The first place where a text breaks the grammar of RFC 8259. */
export interface JsonFault {
  /** Counted in characters, from 1. */
  readonly column: number
  readonly kind: JsonFaultKind
}

/** Kinds of syntax errors, for callers that suggest a fix. `quotes`: a name or text without double quotes. */
export type JsonFaultKind =
  | "structure"
  | "quotes"
  | "open-string"
  | "escape"
  | "control"
  | "trailing-comma"
  | "trailing-text"

/** Deepest nesting of arrays and objects that is read. */
const maxDepth = 16

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Parses I-JSON (RFC 7493). Unlike `JSON.parse` it refuses duplicate keys, nesting over 16 levels and lone surrogates,
 * because two readers may disagree about them.
 * @throws {JsonError} naming the first fault: its column in the syntax, else its field
 */
export function parseStrictJson(text: string): unknown {
  const members = countMembers(text)
  if (members === undefined) throw new JsonError("", `nested deeper than ${maxDepth}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Scanner(text).findError()
  }
  // Text that came through a UTF-8 decoder can hold a lone surrogate only as an escape.
  const isSuspect = text.includes("\\u") || !text.isWellFormed()
  if (members !== countKeys(value) || (isSuspect && !isWellFormed(value))) throw new Scanner(text).findError()
  return value
}

/**
 * Counts `"key":` members by their colons; a duplicate key makes this exceed the number of parsed keys.
 * @returns undefined if the text is nested too deeply
 */
function countMembers(text: string): number | undefined {
  let members = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      i = endOfString(text, i)
      if (i < 0) break
    } else if (code === colon) members++
    else if (code === openBrace || code === openBracket) {
      if (++depth > maxDepth) return undefined
    } else if (code === closeBrace || code === closeBracket) depth--
  }
  return members
}

/** Index of the closing quote of the string that opens at `start`, or -1. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end > 0) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return -1
}

function countKeys(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0
  if (Array.isArray(value)) {
    let inArray = 0
    for (const item of value) inArray += countKeys(item)
    return inArray
  }
  let keys = 0
  for (const key in value) keys += 1 + countKeys((value as Record<string, unknown>)[key])
  return keys
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed()
  if (typeof value !== "object" || value === null) return true
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item))
}

const space = /[ \t\r\n]*/y
const literal = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const characters = /(?:[^"\\\u0000-\u001f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*/y

/** Finds the first fault of a text that {@link parseStrictJson} refused. Slow: it builds the path of each field. */
class Scanner {
  readonly #text: string
  #at = 0
  /** The first fault of the content; a later fault of the syntax counts more. */
  #contentError: JsonError | undefined

  constructor(text: string) {
    this.#text = text
  }

  findError(): JsonError {
    try {
      this.#value("")
      this.#skip(space)
      if (this.#at < this.#text.length) this.#fail("trailing-text", "unexpected text after the value")
    } catch (error) {
      if (error instanceof JsonError) return error
      throw error
    }
    return this.#contentError ?? new JsonError("", "not JSON")
  }

  #value(path: string): void {
    this.#skip(space)
    const char = this.#text[this.#at]
    if (char === "{") this.#object(path)
    else if (char === "[") this.#array(path)
    else if (char === '"') {
      if (!this.#string().isWellFormed()) this.#note(path, "lone surrogate")
    } else if (!this.#skip(literal)) this.#unexpected("a value")
  }

  #object(path: string): void {
    const keys = new Set<string>()
    this.#list("}", () => {
      if (this.#text[this.#at] !== '"') this.#unexpected('a name in "double quotes"')
      const key = this.#string()
      const memberPath = path === "" ? key : `${path}.${key}`
      if (!key.isWellFormed()) this.#note(path, "lone surrogate in a key")
      if (keys.has(key)) this.#note(memberPath, "duplicate key")
      keys.add(key)
      this.#skip(space)
      if (this.#text[this.#at] !== ":") this.#unexpected('":"')
      this.#at++
      this.#value(memberPath)
    })
  }

  #array(path: string): void {
    let index = 0
    this.#list("]", () => {
      this.#value(`${path}[${index++}]`)
    })
  }

  #list(end: string, readItem: () => void): void {
    for (let isFirst = true; ; isFirst = false) {
      this.#at++
      this.#skip(space)
      if (this.#text[this.#at] === end) {
        if (!isFirst) this.#fail("trailing-comma", `unexpected comma before "${end}"`)
        break
      }
      readItem()
      this.#skip(space)
      if (this.#text[this.#at] === end) break
      if (this.#text[this.#at] !== ",") this.#unexpected(`"," or "${end}"`)
    }
    this.#at++
  }

  /** Reads a string. @returns its value */
  #string(): string {
    const start = this.#at++
    this.#skip(characters)
    const char = this.#text[this.#at]
    if (char === undefined) this.#fail("open-string", "unexpected end inside a string")
    if (char === "\\") this.#fail("escape", `invalid escape: a backslash before ${this.#show(this.#at + 1)}`)
    if (char !== '"') this.#fail("control", `unexpected ${this.#show(this.#at)} inside a string`)
    this.#at++
    return JSON.parse(this.#text.slice(start, this.#at)) as string
  }

  #unexpected(expected: string): never {
    const char = this.#text[this.#at]
    const isUnquoted = char !== undefined && this.#at > 0 && !/[\]}:,[{]/.test(char)
    const message = `unexpected ${this.#show(this.#at)}, expected ${expected}`
    return this.#fail(isUnquoted ? "quotes" : "structure", message)
  }

  #fail(kind: JsonFaultKind, message: string): never {
    const column = Array.from(this.#text.slice(0, this.#at)).length + 1
    throw new JsonError("", `column ${column}: ${message}`, { column, kind })
  }

  #note(path: string, message: string): void {
    this.#contentError ??= new JsonError(path, message)
  }

  #show(index: number): string {
    const code = this.#text.codePointAt(index)
    if (code === undefined) return "end"
    if (code === 0) return "NUL byte"
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
      return `control character U+${code.toString(16).padStart(4, "0")}`
    return JSON.stringify(String.fromCodePoint(code))
  }

  /** @returns false if nothing matched */
  #skip(sticky: RegExp): boolean {
    sticky.lastIndex = this.#at
    const matched = sticky.exec(this.#text)
    if (matched === null) return false
    this.#at += matched[0].length
    return true
  }
}
