/** YAML. Documents are read with their offsets and edited as text, because writing them anew would change the rest. */
import { isMap, isNode, isScalar, type Pair, parseDocument, stringify, type YAMLMap } from "yaml"
import { isObject, type Members, type Path } from "./additions.js"
import { indentAt, lineBreakBeforeEnd, lineEndOf, type Splice, type TextFormat } from "./text-format.js"

export const yamlFormat: TextFormat = {
  parse(text) {
    const value: unknown = read(text).toJS()
    return value ?? undefined
  },

  insert(text, desired) {
    const { contents } = read(text)
    if (isMap(contents)) return [...insertions(text, contents, desired)]
    if (contents !== null && !(isScalar(contents) && contents.value === null)) {
      throw new Error("the document is not a mapping")
    }
    return [atEnd(text, desired)]
  },

  remove(text, paths) {
    return paths.toReversed().reduce(removeOne, text)
  },

  isBlank: (text) => text.trim() === "" || /^\s*\{\s*\}\s*$/.test(text),
}

function read(text: string) {
  const document = parseDocument(text, { keepSourceTokens: true })
  const [error] = document.errors
  if (error !== undefined) throw new Error(`line ${error.linePos?.[0].line ?? 1} is not valid YAML`)
  return document
}

function* insertions(text: string, map: YAMLMap, desired: Members): Generator<Splice> {
  const added: Members = {}
  for (const [name, value] of Object.entries(desired)) {
    const pair = pairOf(map, name)
    if (pair === undefined) added[name] = value
    else if (isMap(pair.value) && isObject(value)) yield* insertions(text, pair.value, value)
    else if (isEmpty(pair) && isObject(value)) yield belowKey(text, pair, value)
  }
  if (Object.keys(added).length === 0) return
  yield map.flow === true ? intoFlow(text, map, added) : intoBlock(text, map, added)
}

function pairOf(map: YAMLMap, name: string): Pair | undefined {
  return map.items.find(({ key }) => (isScalar(key) ? key.value : key) === name)
}

function isEmpty({ value }: Pair): boolean {
  return value === null || (isScalar(value) && value.value === null)
}

function atEnd(text: string, added: Members): Splice {
  return { at: text.length, text: lineBreakBeforeEnd(text) + formatBlock(added, "", lineEndOf(text)) }
}

/** `key:` without a value. */
function belowKey(text: string, { key }: Pair, added: Members): Splice {
  const [start = 0, end = 0] = (isScalar(key) ? key.range : undefined) ?? []
  const colon = text.indexOf(":", end) + 1
  const rest = /^[ \t]*(?:#[^\r\n]*)?/.exec(text.slice(colon))?.[0].length ?? 0
  const eol = lineEndOf(text)
  const body = formatBlock(added, `${indentAt(text, start)}  `, eol)
  return { at: colon + rest, text: eol + body.slice(0, -eol.length) }
}

function intoFlow(text: string, map: YAMLMap, added: Members): Splice {
  const end = (map.range?.[1] ?? text.length) - 1
  const body = Object.entries(added).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  const before = text.slice(0, end).trimEnd()
  const needsComma = map.items.length > 0 && !before.endsWith(",")
  return { at: before.length, text: `${needsComma ? ", " : ""}${body.join(", ")}` }
}

function intoBlock(text: string, map: YAMLMap, added: Members): Splice {
  const [first] = map.items
  const indent = indentAt(text, rangeOf(first?.key)[0] ?? 0)
  const at = lineEndAfter(text, rangeOf(map)[1] ?? text.length)
  const eol = lineEndOf(text)
  const body = formatBlock(added, indent, eol)
  // A text block ends with its line break.
  return /[\r\n]$/.test(text.slice(0, at))
    ? { at, text: body }
    : { at, text: eol + body.slice(0, -eol.length) }
}

/** Returns the end of the line with the end of a value, after a comment on it. */
function lineEndAfter(text: string, offset: number): number {
  if (/[\r\n]$/.test(text.slice(0, offset))) return offset
  return offset + (/^[^\r\n]*/.exec(text.slice(offset))?.[0].length ?? 0)
}

function formatBlock(members: Members, indent: string, eol: string): string {
  return stringify(members, { lineWidth: 0 })
    .split("\n")
    .map((line) => (line === "" ? "" : indent + line))
    .join(eol)
}

function removeOne(text: string, path: Path): string {
  const { contents } = read(text)
  const names = path.map(String)
  const map = names.slice(0, -1).reduce<unknown>((at, name) => {
    return isMap(at) ? pairOf(at, name)?.value : undefined
  }, contents)
  const pair = isMap(map) ? pairOf(map, names.at(-1) ?? "") : undefined
  if (!isMap(map) || pair === undefined) return text
  const [start = 0, keyEnd = 0] = rangeOf(pair.key)
  const end = rangeOf(pair.value)[1] ?? keyEnd
  if (map.flow === true) return removeFromFlow(text, map, pair, start, end)
  const lineStart = start - indentAt(text, start).length
  const last = lineEndAfter(text, end)
  const lineEnd = last + (/^\r?\n/.exec(text.slice(last))?.[0].length ?? 0)
  return text.slice(0, lineStart) + text.slice(lineEnd)
}

/** Returns the offsets of a node; empty for an absent value. */
function rangeOf(node: unknown): readonly number[] {
  return isNode(node) ? (node.range ?? []) : []
}

function removeFromFlow(text: string, map: YAMLMap, pair: Pair, start: number, end: number): string {
  const next = map.items[map.items.indexOf(pair) + 1]
  if (isScalar(next?.key)) return text.slice(0, start) + text.slice(next.key.range?.[0] ?? end)
  const before = text.slice(0, start).trimEnd()
  return (before.endsWith(",") ? before.slice(0, -1) : before) + text.slice(end)
}
