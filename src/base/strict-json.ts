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

/** A double holds every number of so many digits. */
const exactDigits = 15

const quote = 0x22
const point = 0x2e
const letterE = 0x65
const lowerCase = 0x20
const backslash = 0x5c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Parses I-JSON (RFC 7493). Unlike `JSON.parse` it refuses what readers may disagree about: duplicate keys, nesting over
 * 16 levels and lone surrogates; and what JavaScript would change: numbers that no double holds exactly as written
 * (though 1.0 may become 1), and keys of digits that it would move.
 * @throws {JsonError} naming the first fault: its column in the syntax, else its field
 */
export function parseStrictJson(text: string): unknown {
  const { members, isTooDeep, isSuspect } = survey(text)
  if (isTooDeep) throw new JsonError("", `nested deeper than ${maxDepth}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Scanner(text).findError() ?? new JsonError("", "not JSON")
  }
  // Text that came through a UTF-8 decoder can hold a lone surrogate only as an escape.
  const mayBeMalformed = text.includes("\\u") || !text.isWellFormed()
  const isFaulty = members !== countKeys(value) || (mayBeMalformed && !isWellFormed(value))
  const error = isFaulty || isSuspect ? new Scanner(text).findError() : undefined
  if (error !== undefined) throw error
  return value
}

const anyString = /"[^"\\]*(?:\\.[^"\\]*)*"/g
const upperCaseEscape = /\\(?:u(?=.{0,3}[A-F]).{4}|.)/g

/**
 * Parses the JSON of receipts, see `verifiers/RULES.md`: strict JSON in which a value has one spelling only, apart from
 * white space and the order of members, and which simple parsers read alike.
 * @throws {JsonError} as {@link parseStrictJson}; also for a number that is not written as a whole one from 0 to 2^53 - 1,
 * an escape with upper-case digits and a name of digits
 */
export function parsePlainJson(text: string): unknown {
  const value = parseStrictJson(text)
  const outsideStrings = text.replace(anyString, "")
  if (/[-.]|[0-9][eE]/.test(outsideStrings)) throw new JsonError("", "a number is not written as a whole one")
  if (text.match(upperCaseEscape)?.some((escape) => escape.length > 2) === true) {
    throw new JsonError("", "an escape is not in lower case")
  }
  requirePlainMembers(value)
  return value
}

function requirePlainMembers(value: unknown): void {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new JsonError("", "number too large")
  if (typeof value !== "object" || value === null) return
  for (const [name, member] of Object.entries(value)) {
    if (!Array.isArray(value) && /^[0-9]+$/.test(name)) throw new JsonError("", "a name consists of digits")
    requirePlainMembers(member)
  }
}

/** Facts from one pass over a text; only an unusual text is then scanned thoroughly. */
interface Survey {
  /** Number of `"key":` members, by their colons. A duplicate key makes it exceed the number of parsed keys. */
  members: number
  isTooDeep: boolean
  /** The text has a number that may not be exact, or a key that may start with a digit. */
  isSuspect: boolean
}

function survey(text: string): Survey {
  const found: Survey = { members: 0, isTooDeep: false, isSuspect: false }
  let depth = 0
  let keyStart = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      keyStart = i + 1
      i = endOfString(text, i)
    } else if (code === colon) {
      found.members++
      found.isSuspect ||= mayBeIndex(text.charCodeAt(keyStart))
    } else if (code === openBrace || code === openBracket) {
      found.isTooDeep ||= ++depth > maxDepth
    } else if (code === closeBrace || code === closeBracket) depth--
    else if (isDigit(code)) {
      const end = endOfNumber(text, i)
      found.isSuspect ||= mayBeInexact(text, i, end)
      i = end - 1
    }
  }
  return found
}

/** Reports whether a key with this first character may be a number; an escape may hide a digit. */
function mayBeIndex(code: number): boolean {
  return isDigit(code) || code === backslash
}

/** Reports whether a number has too many digits for a double, or an exponent. */
function mayBeInexact(text: string, start: number, end: number): boolean {
  return end - start > exactDigits || (text.charCodeAt(end) | lowerCase) === letterE
}

/** Index after the digits and the point that begin at `start`. */
function endOfNumber(text: string, start: number): number {
  let end = start + 1
  while (isDigit(text.charCodeAt(end)) || text.charCodeAt(end) === point) end++
  return end
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Index of the closing quote of the string that opens at `start`; the end of the text if there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end > 0) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
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
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literal = /true|false|null/y
const movedKey =
  "key of digits that JavaScript moves; write such keys first, in rising order, or with a letter"
/** Keys that JavaScript moves to the front of an object, in rising order. */
const arrayIndex = /^(?:0|[1-9]\d{0,9})$/
const maxArrayIndex = 2 ** 32 - 2
const characters = /(?:[^"\\\u0000-\u001f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*/y

/** Finds the first fault of a text. Slow: it builds the path of each field. */
class Scanner {
  readonly #text: string
  #at = 0
  /** The first fault of the content; a later fault of the syntax counts more. */
  #contentError: JsonError | undefined

  constructor(text: string) {
    this.#text = text
  }

  findError(): JsonError | undefined {
    try {
      this.#value("")
      this.#skip(space)
      if (this.#at < this.#text.length) this.#fail("trailing-text", "unexpected text after the value")
    } catch (error) {
      if (error instanceof JsonError) return error
      throw error
    }
    return this.#contentError
  }

  #value(path: string): void {
    this.#skip(space)
    const char = this.#text[this.#at]
    if (char === "{") this.#object(path)
    else if (char === "[") this.#array(path)
    else if (char === '"') {
      if (!this.#string().isWellFormed()) this.#note(path, "lone surrogate")
    } else if (!this.#number(path) && !this.#skip(literal)) this.#unexpected("a value")
  }

  #number(path: string): boolean {
    const start = this.#at
    if (!this.#skip(number)) return false
    const written = this.#text.slice(start, this.#at)
    const value = Number(written)
    if (!Number.isFinite(value))
      this.#note(path, "number too large for a double (RFC 7493); write it as a string")
    else if (decimalOf(written) !== decimalOf(String(value))) {
      this.#note(
        path,
        `number that a double cannot hold (RFC 7493): ${String(value)} is left; write it as a string`,
      )
    }
    return true
  }

  #object(path: string): void {
    const keys = new Set<string>()
    let lastIndex = -1
    this.#list("}", () => {
      if (this.#text[this.#at] !== '"') this.#unexpected('a name in "double quotes"')
      const key = this.#string()
      const memberPath = path === "" ? key : `${path}.${key}`
      if (!key.isWellFormed()) this.#note(path, "lone surrogate in a key")
      if (keys.has(key)) this.#note(memberPath, "duplicate key")
      const index = arrayIndex.test(key) && Number(key) <= maxArrayIndex ? Number(key) : Infinity
      if (index < lastIndex) this.#note(memberPath, movedKey)
      lastIndex = index
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

/** Returns the value of a decimal number in one spelling. */
function decimalOf(written: string): string {
  const [mantissa = "", exponent = "0"] = written.toLowerCase().split("e")
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".")
  const digits = `${whole}${fraction}`.replace(/^0+/, "")
  const significant = digits.replace(/0+$/, "")
  if (significant === "") return "0"
  const power = Number(exponent) - fraction.length + digits.length - significant.length
  return `${written.startsWith("-") ? "-" : ""}${significant}e${power}`
}
