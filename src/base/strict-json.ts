/** Why a text is not acceptable JSON; `path` names the field as `a.b[0]`, "" for the whole text. */
export class JsonError extends Error {
  override readonly name = "JsonError"
  readonly path: string
  constructor(path: string, message: string) {
    super(message)
    this.path = path
  }
}

/** Deepest nesting of arrays and objects that is read. */
export const maxJsonDepth = 16

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Parses I-JSON (RFC 7493): unlike `JSON.parse` it refuses duplicate keys, nesting over
 * {@link maxJsonDepth} and lone surrogates, because two readers may disagree about them.
 * @throws {JsonError} naming the first field at fault
 */
export function parseStrictJson(text: string): unknown {
  const members = countMembers(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new JsonError("", error instanceof Error ? error.message : "not JSON")
  }
  // Raw text can only hold a lone surrogate as an escape once it came through a UTF-8 decoder.
  if (text.includes("\\u") || !text.isWellFormed()) refuseLoneSurrogates(value, "")
  if (members !== countKeys(value)) throw new JsonError(findDuplicateKey(text), "duplicate key")
  return value
}

/** Counts `"key":` members by their colons; a duplicate makes this exceed the parsed key count. */
function countMembers(text: string): number {
  let members = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      i = endOfString(text, i)
      if (i < 0) break
    } else if (code === colon) members++
    else if (code === openBrace || code === openBracket) {
      if (++depth > maxJsonDepth) throw new JsonError("", `nested deeper than ${maxJsonDepth}`)
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

function refuseLoneSurrogates(value: unknown, path: string): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new JsonError(path, "lone surrogate")
    return
  }
  if (typeof value !== "object" || value === null) return
  for (const [key, item] of Object.entries(value)) {
    if (!key.isWellFormed()) throw new JsonError(path, "lone surrogate in a key")
    refuseLoneSurrogates(item, joinPath(path, key, Array.isArray(value)))
  }
}

/** An array or object that is open while a text is read. */
interface Level {
  readonly path: string
  /** Undefined in an array. */
  readonly keys: Set<string> | undefined
  /** The member being read: its key, or its index. */
  current: string
}

const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

/** Slow path, only for the message: the path of the first key that occurs twice in one object. */
function findDuplicateKey(text: string): string {
  const levels: Level[] = []
  let lastString = ""
  for (const [token] of text.matchAll(tokens)) {
    const level = levels.at(-1)
    if (token === "{" || token === "[") levels.push(openLevel(token, level))
    else if (token === "}" || token === "]") levels.pop()
    else if (token.startsWith('"')) lastString = token
    else if (level !== undefined && isRepeated(level, token, lastString)) {
      return joinPath(level.path, level.current, false)
    }
  }
  return ""
}

/** Takes a `:` or `,` inside `level`; true when the key before the colon stood there already. */
function isRepeated(level: Level, separator: string, lastString: string): boolean {
  if (level.keys === undefined) {
    level.current = String(Number(level.current) + 1)
    return false
  }
  if (separator === ",") return false
  level.current = JSON.parse(lastString) as string
  const repeated = level.keys.has(level.current)
  level.keys.add(level.current)
  return repeated
}

function openLevel(token: string, parent: Level | undefined): Level {
  const path = parent === undefined ? "" : joinPath(parent.path, parent.current, parent.keys === undefined)
  return { path, keys: token === "{" ? new Set() : undefined, current: "0" }
}

function joinPath(path: string, key: string, isIndex: boolean): string {
  if (isIndex) return `${path}[${key}]`
  return path === "" ? key : `${path}.${key}`
}
