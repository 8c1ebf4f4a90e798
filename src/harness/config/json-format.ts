/** JSON, also with comments and trailing commas. */
import { isDeepStrictEqual } from "node:util"
import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree } from "jsonc-parser"
import { isObject, type Members, type Path } from "./additions.js"
import { indentAt, lineEndOf, lineNumberAt, type Splice, type TextFormat } from "./text-format.js"

export const jsonFormat: TextFormat = {
  parse(text) {
    return isBlank(text) ? undefined : valueOf(parseRoot(text))
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
  if (node.type === "array" && Array.isArray(desired)) yield* arrayInsertions(node, desired, style)
  else if (node.type === "object" && isObject(desired)) yield* objectInsertions(node, desired, style)
}

function* arrayInsertions(node: Node, desired: readonly unknown[], style: Style): Generator<Splice> {
  const children = node.children ?? []
  for (const [index, child] of children.entries()) yield* insertions(child, desired[index], style)
  const added = desired.slice(children.length).map((value): Entry => [undefined, value])
  if (added.length > 0) yield insertInto(node, added, style)
}

function* objectInsertions(node: Node, desired: Members, style: Style): Generator<Splice> {
  const names = new Set<string>()
  for (const { children: [name, value] = [] } of node.children ?? []) {
    const key = String(name?.value)
    if (value === undefined) continue
    if (names.has(key) && !isDeepStrictEqual(valueOf(value), desired[key])) {
      throw new Error(`has two members called ${JSON.stringify(key)}`)
    }
    names.add(key)
    yield* insertions(value, desired[key], style)
  }
  const added = Object.entries(desired).filter(([name]) => !names.has(name))
  if (added.length > 0) yield insertInto(node, added, style)
}

function valueOf(node: Node): unknown {
  return getNodeValue(node) as unknown
}

type Entry = readonly [name: string | undefined, value: unknown]

function insertInto(node: Node, entries: readonly Entry[], style: Style): Splice {
  const { text } = style
  const children = node.children ?? []
  const [first] = children
  if (first === undefined) return intoEmpty(node, entries, style)
  const indent = ownLineIndent(text, first.offset)
  if (style.isOneLine || indent === undefined) return intoLine(children, entries, style)
  return node.type === "array"
    ? afterLast(children, entries, { ...style, indent })
    : beforeFirst(node, entries, { ...style, indent })
}

function intoEmpty({ offset, length }: Node, entries: readonly Entry[], style: Style): Splice {
  const { text, eol, unit, isOneLine } = style
  const close = offset + length - 1
  const at = offset + 1 + text.slice(offset + 1, close).trimEnd().length
  if (isOneLine) return { at, text: entries.map((entry) => formatShort(entry)).join(", ") }
  const outer = indentAt(text, offset)
  const indent = outer + unit
  const end = /[\r\n]/.test(text.slice(at, close)) ? "" : eol + outer
  return { at, text: eol + indent + formatLong(entries, { ...style, indent }) + end }
}

/** Adds to a list or object whose entries share a line. */
function intoLine(children: readonly Node[], entries: readonly Entry[], { text, eol }: Style): Splice {
  const end = endOf(children.at(-1))
  const comma = commaAfter(text, end)
  const body = entries.map((entry) => formatShort(entry)).join(", ")
  const comment = commentOnLine(text, comma ?? end)
  if (comment !== undefined)
    return { at: comment, text: comma === undefined ? `${eol}, ${body}` : `${eol}${body},` }
  return comma === undefined ? { at: end, text: `, ${body}` } : { at: comma, text: ` ${body},` }
}

/** A layout with the indentation of the entries. */
type Indented = Style & { readonly indent: string }

/** Adds members on lines of their own, so that no other line changes. A comment after the opening brace stays there. */
function beforeFirst({ offset }: Node, entries: readonly Entry[], layout: Indented): Splice {
  const { text, eol, indent } = layout
  const at = commentOnLine(text, offset + 1) ?? offset + 1
  return { at, text: `${eol}${indent}${formatLong(entries, layout)},` }
}

/**
 * Adds items at the end: some programs know the items of others by their index. The comma comes on our line, so that no
 * other line changes and all that is added is in one place.
 */
function afterLast(children: readonly Node[], entries: readonly Entry[], layout: Indented): Splice {
  const { text, eol, indent } = layout
  const end = endOf(children.at(-1))
  const comma = commaAfter(text, end)
  const at = commentOnLine(text, comma ?? end) ?? comma ?? end
  const body = formatLong(entries, layout)
  return { at, text: comma === undefined ? `${eol}${indent}, ${body}` : `${eol}${indent}${body},` }
}

function endOf(node: Node | undefined): number {
  return node === undefined ? 0 : node.offset + node.length
}

function formatLong(entries: readonly Entry[], { unit, indent, eol }: Indented): string {
  const texts = entries.map(([name, value]) => keyOf(name) + JSON.stringify(value, null, unit))
  return texts.join(",\n").replaceAll("\n", eol + indent)
}

function formatShort([name, value]: Entry): string {
  return keyOf(name) + JSON.stringify(value)
}

function keyOf(name: string | undefined): string {
  return name === undefined ? "" : `${JSON.stringify(name)}: `
}

/** Returns the indentation of a node that begins its line; undefined if something else comes first. */
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

function removeOne(text: string, path: Path): string {
  const value = findNodeAtLocation(parseRoot(text), [...path])
  const node = typeof path.at(-1) === "string" ? value?.parent : value
  const container = node?.parent
  if (node === undefined || container === undefined) return text
  const siblings = container.children ?? []
  const previous = siblings[siblings.indexOf(node) - 1]
  const start = text.slice(0, node.offset).trimEnd().length
  const end = endOf(node)
  const comma = commaAfter(text, end)
  if (comma !== undefined) return join(text, text.slice(0, start), text.slice(comma))
  if (previous !== undefined) return withoutLast(text, endOf(previous), start, end)
  const [open, close] = [container.offset + 1, endOf(container) - 1]
  const isEmpty = (text.slice(open, start) + text.slice(end, close)).trim() === ""
  return isEmpty ? text.slice(0, open) + text.slice(close) : join(text, text.slice(0, start), text.slice(end))
}

/** Removes the last of several entries, and the comma before it. */
function withoutLast(text: string, previousEnd: number, start: number, end: number): string {
  const comma = commaAfter(text, previousEnd) ?? start
  const before = text.slice(0, comma - 1)
  const left = /[\r\n][ \t]*$/.test(before) ? before.trimEnd() : before
  return join(text, left + text.slice(comma, start), text.slice(end))
}

/** Joins what is left of a text. A line break stays where a comment before it would swallow what follows. */
function join(text: string, before: string, after: string): string {
  const isSwallowed = endsInComment(before) && !/^[\r\n]/.test(after)
  return before + (isSwallowed ? lineEndOf(text) : "") + after
}

/** Reports whether a text ends in a comment that only a line break ends. */
function endsInComment(text: string): boolean {
  const last = [...text.matchAll(/"(?:[^"\\]|\\.)*"|\/\/[^\r\n]*|\/\*[\s\S]*?\*\//g)].at(-1)
  return last?.[0].startsWith("//") === true && last.index + last[0].length === text.length
}
