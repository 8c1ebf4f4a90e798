/** TOML. Entries are added as tables at the end, each below a comment that names who wrote it. */
import { isDeepStrictEqual } from "node:util"
import { parse as parseToml } from "smol-toml"
import { isObject, type Members, type Path } from "./additions.js"
import { lineBreakBeforeEnd, lineEndOf, type TextFormat } from "./text-format.js"

/**
 * The line above each table. A comment above a header moves with its table when another program rewrites the file;
 * one at the end of a block would end up below the tables that others append.
 */
const mark = "# written by agentchat install, removed by agentchat uninstall"

export const tomlFormat: TextFormat = {
  parse(text) {
    if (text.trim() === "") return undefined
    try {
      return parse(text)
    } catch (error) {
      const { line } = error as { line?: number }
      throw new Error(line === undefined ? "is not valid TOML" : `line ${line} is not valid TOML`, {
        cause: error,
      })
    }
  },

  insert(text, desired) {
    const eol = lineEndOf(text)
    const current = (this.parse(text) ?? {}) as Members
    const tables = newTables([], current, desired)
    if (tables.length === 0) return []
    const gap = text.trim() === "" ? "" : eol
    const body = tables.map((lines) => [mark, ...lines, ""].join(eol)).join(eol)
    return [{ at: text.length, text: lineBreakBeforeEnd(text) + gap + body }]
  },

  remove(text, paths) {
    return paths.toReversed().reduce(removeTable, text)
  },

  isBlank: (text) => text.trim() === "",
}

function parse(text: string): Members {
  return parseToml(text, { integersAsBigInt: "asNeeded" })
}

function newTables(path: readonly string[], current: Members, desired: Members): string[][] {
  return Object.entries(desired).flatMap(([name, value]): string[][] => {
    const at = [...path, name]
    const known = current[name]
    if (isDeepStrictEqual(known, value)) return []
    if (Array.isArray(value)) {
      const added = value.slice(Array.isArray(known) ? known.length : 0)
      return added
        .filter(isObject)
        .map((item) => [`[[${at.map(formatKey).join(".")}]]`, ...formatMembers(item)])
    }
    if (!isObject(value)) throw new Error(`${at.join(".")}: cannot be added`)
    const isTable = !Object.values(value).every(isObject)
    if (known === undefined && isTable) return [[`[${at.map(formatKey).join(".")}]`, ...formatMembers(value)]]
    return newTables(at, isObject(known) ? known : {}, value)
  })
}

function formatMembers(members: Members): string[] {
  return Object.entries(members).map(([key, value]) => {
    // The strings and lists that we write are the same in JSON and in TOML.
    const text = Array.isArray(value)
      ? `[${value.map((item) => JSON.stringify(item)).join(", ")}]`
      : JSON.stringify(value)
    return `${formatKey(key)} = ${text}`
  })
}

function formatKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key)
}

/** A table of the text: the lines from its header, or from our comment above it, to its last key. */
interface Table {
  readonly path: readonly string[]
  readonly isItem: boolean
  readonly start: number
  readonly end: number
}

function removeTable(text: string, path: Path): string {
  const names = path.filter((step) => typeof step === "string")
  const index = path.find((step) => typeof step === "number")
  const matching = tablesOf(text, names).filter(({ isItem }) => isItem === (index !== undefined))
  const found = index === undefined ? matching : matching.slice(index, index + 1)
  return found.toReversed().reduce((rest, { start, end }) => rest.slice(0, start) + rest.slice(end), text)
}

function tablesOf(text: string, names: readonly string[]): Table[] {
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? []
  const starts: number[] = []
  let offset = 0
  for (const line of lines) {
    starts.push(offset)
    offset += line.length
  }
  const tables: Table[] = []
  for (const [number, line] of lines.entries()) {
    const header = headerOf(line)
    if (header === undefined || !isDeepStrictEqual(header.path.slice(0, names.length), names)) continue
    // A line in the middle of a text or a list only looks like a header.
    if (!isComplete(text.slice(0, starts[number]))) continue
    const first = lines[number - 1]?.trim() === mark ? number - 1 : number
    const last = lastLine(lines, starts, number, text)
    const end = starts[last + 1] ?? text.length
    tables.push({ ...header, start: starts[first] ?? 0, end })
  }
  return tables
}

/** Returns the number of the last line with a key of the table whose header is on a line. */
function lastLine(lines: readonly string[], starts: readonly number[], header: number, text: string): number {
  let last = header
  for (let number = header + 1; number < lines.length; number++) {
    const line = (lines[number] ?? "").trim()
    const isHeader = headerOf(line) !== undefined && isComplete(text.slice(0, starts[number]))
    if (isHeader) break
    if (line !== "" && !line.startsWith("#")) last = number
  }
  return last
}

function headerOf(line: string): Pick<Table, "path" | "isItem"> | undefined {
  if (!line.trimStart().startsWith("[")) return undefined
  try {
    const path: string[] = []
    let at: unknown = parse(line)
    let isItem = false
    while (!isItem && isObject(at) && Object.keys(at).length === 1) {
      const [name = ""] = Object.keys(at)
      path.push(name)
      at = at[name]
      isItem = Array.isArray(at)
    }
    return { path, isItem }
  } catch {
    return undefined
  }
}

function isComplete(text: string): boolean {
  try {
    parse(text)
    return true
  } catch {
    return false
  }
}
