import { ChatError } from "../protocol/errors.js"

/** Maximum nesting depth; also stops at cycles. */
const maxDepth = 64

/**
 * Returns the canonical JSON of a value (RFC 8785): members sorted by UTF-16 code units, numbers and strings as
 * ECMAScript writes them, no white space.
 * @throws {ChatError} INVALID_MSG, naming the member that has no canonical form: `undefined`, a number that is not
 * finite, a lone surrogate, or an object that is not plain data
 */
export function canonicalize(value: unknown): string {
  return write(value, "", 0)
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > maxDepth) throw refuse(path, `nested deeper than ${maxDepth}`)
  if (value === null || typeof value === "boolean") return String(value)
  if (typeof value === "string") return writeString(value, path)
  if (typeof value === "number") return writeNumber(value, path)
  if (Array.isArray(value)) return writeArray(value, path, depth)
  if (typeof value === "object") return writeObject(value, path, depth)
  throw refuse(path, `${typeof value} has no JSON form`)
}

function writeNumber(value: number, path: string): string {
  if (!Number.isFinite(value)) throw refuse(path, `${value} is not a JSON number`)
  // RFC 8785 §3.2.2.3 uses the form of ECMAScript, including 0 for -0.
  return JSON.stringify(value)
}

function writeArray(items: readonly unknown[], path: string, depth: number): string {
  // Unlike map, Array.from visits holes.
  return `[${Array.from(items, (item, index) => write(item, `${path}[${index}]`, depth + 1)).join(",")}]`
}

function writeObject(value: object, path: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw refuse(path, "not a plain object")
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => {
      const at = path === "" ? key : `${path}.${key}`
      return `${writeString(key, path)}:${write(member, at, depth + 1)}`
    })
  return `{${members.join(",")}}`
}

function writeString(text: string, path: string): string {
  if (!text.isWellFormed()) throw refuse(path, "lone surrogate")
  return JSON.stringify(text)
}

function refuse(path: string, problem: string): ChatError {
  return new ChatError("INVALID_MSG", `${path === "" ? "statement" : path}: ${problem}`)
}
