/** Edits of configuration files as text: everything that is not ours keeps its bytes. */
import type { Members, Path } from "./additions.js"

/** A text that is inserted; nothing is replaced. */
export interface Splice {
  /** Offset in the text before any insertion, in UTF-16 units. */
  readonly at: number
  readonly text: string
}

/** A format of configuration files. */
export interface TextFormat {
  /** Returns the document; undefined if the text is blank. @throws {Error} naming the problem, with its line */
  parse(text: string): unknown
  /**
   * Returns the insertions that make the document `desired`, which has all that the document has.
   * @throws {Error} if the text has no place for them
   */
  insert(text: string, desired: Members): Splice[]
  /** Removes the values at the paths, which are in the order of the document. */
  remove(text: string, paths: readonly Path[]): string
  /** Reports whether a text holds no value and no comment. */
  isBlank(text: string): boolean
}

/** Applies insertions. */
export function applySplices(text: string, splices: readonly Splice[]): string {
  let result = ""
  let from = 0
  for (const { at, text: inserted } of splices) {
    result += text.slice(from, at) + inserted
    from = at
  }
  return result + text.slice(from)
}

/** Returns the line end that a text uses. */
export function lineEndOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? "\n"
}

/** Returns the white space at the start of the line that holds an offset. */
export function indentAt(text: string, offset: number): string {
  const start = Math.max(text.lastIndexOf("\n", offset - 1), text.lastIndexOf("\r", offset - 1)) + 1
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? ""
}

/** Returns the number of the line that holds an offset, from 1. */
export function lineNumberAt(text: string, offset: number): number {
  return text.slice(0, offset).split(/\r\n|\n|\r/).length
}

/** Returns the text to put before an addition at the end, so that it begins on a line of its own. */
export function lineBreakBeforeEnd(text: string): string {
  return text === "" || /[\r\n]$/.test(text) ? "" : lineEndOf(text)
}
