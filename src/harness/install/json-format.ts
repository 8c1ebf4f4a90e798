/** JSON, also with comments and trailing commas. */
import { isDeepStrictEqual } from "node:util"
import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree } from "jsonc-parser"
import { isObject, type Path } from "./additions.js"
import { indentAt, lineEndOf, lineNumberAt, type Splice, type TextFormat } from "./text-format.js"

export const jsonFormat: TextFormat = {
  parse(text) {
    return isBlank(text) ? undefined : getNodeValue(parseRoot(text))
  },

  insert(text, desired) {
    const eol = lineEndOf(text)
    if (isBlank(text)) {
      const document = JSON.stringify(desired, null, 2).replaceAll("\n", eol)
      return [{ at: text.length, text: document + eol }]
    }
    const root = parseRoot(text)
    const style = { text, eol, unit: indentUnit(text), isOneLine: isOneLine(text) }
    return [...insertions(root, desired, style)].sort((a, b) => a.at - b.at)
  },

  remove(text, paths) {
    return paths.toReversed().reduce(removeOne, text)
  },

  isBlank: (text) => isBlank(text) || /^\s*\{\s*\}\s*$/.test(text),
}

function isBlank(text: string): boolean {
  return text.trim() === ""
}

function parseRoot(text: string): Node {
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first !== undefined) throw new Error(`line ${lineNumberAt(text, first.offset)} is not valid JSON`)
  if (root === undefined) throw new Error("holds no JSON value")
  return root
}

/** How a document is laid out. */
interface Style {
  readonly text: string
  readonly eol: string
  /** One step of indentation. */
  readonly unit: string
  readonly isOneLine: boolean
}

function indentUnit(text: string): string {
  return /^[ \t]+(?=["[{])/m.exec(text)?.[0] ?? "  "
}

function isOneLine(text: string): boolean {
  return !/[\r\n]/.test(text.trim()) && !/^\s*\{\s*\}\s*$/.test(text)
}

function* insertions(node: Node, desired: unknown, style: Style): Generator<Splice> {
  const children = node.children ?? []
  if (node.type === "array" && Array.isArray(desired)) {
    for (const [index, child] of children.entries()) yield* insertions(child, desired[index], style)
    const added = desired.slice(children.length).map((value): Entry => [undefined, value])
    if (added.length > 0) yield insertInto(node, added, style)
  } else if (node.type === "object" && isObject(desired)) {
    const names = new Set<string>()
    for (const { children: [name, value] = [] } of children) {
      const key = String(name?.value)
      if (value === undefined) continue
      if (names.has(key) && !isDeepStrictEqual(getNodeValue(value), desired[key])) {
        throw new Error(`has two members called ${JSON.stringify(key)}`)
      }
      names.add(key)
      yield* insertions(value, desired[key], style)
    }
    const added = Object.entries(desired).filter(([name]) => !names.has(name))
    if (added.length > 0) yield insertInto(node, added, style)
  }
}

type Entry = readonly [name: string | undefined, value: unknown]

function insertInto(node: Node, entries: readonly Entry[], style: Style): Splice {
  const { text, eol, unit, isOneLine } = style
  const last = node.children?.at(-1)
  const inner = last === undefined ? undefined : ownLineIndent(text, last.offset)
  const outer = indentAt(text, node.offset)
  const indent = inner ?? outer + unit
  const isInline = isOneLine || (last !== undefined && inner === undefined && !hasBreak(text, node))
  const separator = isInline ? ", " : `,${eol}${indent}`
  const body = entries
    .map((entry) => format(entry, isInline ? undefined : { unit, indent, eol }))
    .join(separator)
  const close = node.offset + node.length - 1
  if (last === undefined) {
    const at = lastCommentEnd(text, node.offset + 1, close)
    if (isInline) return { at, text: body }
    const end = /[\r\n]/.test(text.slice(at, close)) ? "" : eol + outer
    return { at, text: `${eol}${indent}${body}${end}` }
  }
  const comma = commaAfter(text, last.offset + last.length)
  const at = comma ?? last.offset + last.length
  const comment = commentOnLine(text, at)
  const first = isInline && comment === undefined ? " " : eol + indent
  // After a comment the comma comes on our line, so that all of the addition is in one place.
  if (comment !== undefined)
    return { at: comment, text: comma === undefined ? `${first}, ${body}` : `${first}${body},` }
  return { at, text: comma === undefined ? `,${first}${body}` : `${first}${body},` }
}

function format(
  [name, value]: Entry,
  layout: { unit: string; indent: string; eol: string } | undefined,
): string {
  const key = name === undefined ? "" : `${JSON.stringify(name)}: `
  if (layout === undefined) return key + JSON.stringify(value)
  const { unit, indent, eol } = layout
  return key + JSON.stringify(value, null, unit).replaceAll("\n", eol + indent)
}

function hasBreak(text: string, { offset, length }: Node): boolean {
  return /[\r\n]/.test(text.slice(offset, offset + length))
}

/** Returns the indentation of a node that begins its line; undefined if something stands before it. */
function ownLineIndent(text: string, offset: number): string | undefined {
  const indent = indentAt(text, offset)
  const start = offset - indent.length
  return start > 0 && /[\r\n]/.test(text[start - 1] ?? "") ? indent : undefined
}

const trivia = /(?:\s|\/\/[^\r\n]*|\/\*[\s\S]*?\*\/)*/y

function skipTrivia(text: string, from: number): number {
  trivia.lastIndex = from
  return from + (trivia.exec(text)?.[0].length ?? 0)
}

/** Returns the offset after the comma that follows, if one does. */
function commaAfter(text: string, from: number): number | undefined {
  const at = skipTrivia(text, from)
  return text[at] === "," ? at + 1 : undefined
}

/** Returns the end of the comment on the same line, if there is one. */
function commentOnLine(text: string, from: number): number | undefined {
  const found = /^(?:[ \t]*(?:\/\/[^\r\n]*|\/\*[\s\S]*?\*\/))+/.exec(text.slice(from))
  return found === null ? undefined : from + found[0].length
}

function lastCommentEnd(text: string, from: number, to: number): number {
  return from + text.slice(from, to).trimEnd().length
}

function removeOne(text: string, path: Path): string {
  const root = parseRoot(text)
  const value = findNodeAtLocation(root, [...path])
  if (value === undefined) return text
  const node = typeof path.at(-1) === "string" ? (value.parent ?? value) : value
  const container = node.parent
  const siblings = container?.children ?? []
  const previous = siblings[siblings.indexOf(node) - 1]
  const end = node.offset + node.length
  const start = text.slice(0, node.offset).trimEnd().length
  const comma = commaAfter(text, end)
  if (comma !== undefined && (previous === undefined || commaAfter(text, comma) === undefined)) {
    return text.slice(0, start) + text.slice(comma)
  }
  if (previous !== undefined) {
    const before = commaAfter(text, previous.offset + previous.length) ?? start
    const rest = text.slice(0, before - 1)
    const ownLine = /[\r\n][ \t]*$/.test(rest) ? rest.trimEnd() : rest
    return ownLine + text.slice(before, start) + text.slice(end)
  }
  if (container === undefined) return text
  const open = container.offset + 1
  const close = container.offset + container.length - 1
  const left = text.slice(open, start) + text.slice(end, close)
  return text.slice(0, open) + (left.trim() === "" ? "" : left) + text.slice(close)
}
