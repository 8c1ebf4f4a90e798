import type { Io } from "../context.js"

/**
 * Heading of a column. A `text` column is prose that may be cut to fit a terminal; others, such as ids, are not. An
 * `optional` column is omitted if the table does not fit otherwise, and so is one without a cell.
 */
export type Heading = string | { readonly text: string } | { readonly optional: string }

/** Least width of a cut text, in columns. */
const minTextColumns = 8
const ellipsis = "…"
const gap = "  "

/**
 * Formats a table with aligned columns, two spaces apart, headings first. Columns that do not fit the terminal continue
 * on further, indented lines; a continuation line without text is omitted.
 * @param rows - cells that are safe for a terminal, one per heading
 * @param columns - width of the terminal, which texts are cut to fit; by default nothing is cut
 */
export function formatTable(
  headings: readonly Heading[],
  rows: readonly (readonly string[])[],
  columns = Infinity,
): string[] {
  const titles = headings.map(titleOf)
  const lines = [titles, ...rows]
  const full = titles.map((_, column) =>
    lines.reduce((widest, line) => Math.max(widest, columnsOf(line[column] ?? "")), 0),
  )
  const parts = layOut(headings, full, columns)
  if (parts.length > 1) {
    const isEmpty = headings.map((_, column) => rows.every((row) => (row[column] ?? "") === ""))
    const isOptional = headings.map((heading) => typeof heading === "object" && "optional" in heading)
    const dropped = isEmpty.includes(true) ? isEmpty.indexOf(true) : isOptional.indexOf(true)
    const others = <T>(list: readonly T[]) => list.filter((_, column) => column !== dropped)
    if (dropped >= 0) return formatTable(others(headings), rows.map(others), columns)
  }
  return lines.flatMap((line) =>
    parts
      .map((part, index) => {
        const cells = part.map(({ column, width }) => pad(cut(line[column] ?? "", width), width))
        return (index === 0 ? "" : gap) + cells.join(gap).trimEnd()
      })
      .filter((text, index) => index === 0 || text !== gap),
  )
}

function titleOf(heading: Heading): string {
  if (typeof heading === "string") return heading
  return "text" in heading ? heading.text : heading.optional
}

/** Columns that are printed on the same line. */
type Part = readonly { readonly column: number; readonly width: number }[]

function layOut(headings: readonly Heading[], full: readonly number[], columns: number): Part[] {
  const least = headings.map((heading, column) => {
    const width = full[column] ?? 0
    return typeof heading === "string" || "optional" in heading
      ? width
      : Math.min(width, Math.max(columnsOf(heading.text), minTextColumns))
  })
  const widthsOf = (of: readonly number[], part: readonly number[]) => part.map((column) => of[column] ?? 0)
  const roomOf = (index: number) => (index === 0 ? columns : columns - gap.length)
  const parts: number[][] = [[]]
  for (const column of headings.keys()) {
    const part = parts.at(-1) ?? []
    const hasRoom = lengthOf(widthsOf(least, [...part, column])) <= roomOf(parts.length - 1)
    if (hasRoom || part.length === 0) part.push(column)
    else parts.push([column])
  }
  return parts.map((part, index) => {
    const widths = fit(widthsOf(least, part), widthsOf(full, part), roomOf(index))
    return part.map((column, place) => ({ column, width: widths[place] ?? 0 }))
  })
}

/** Shrinks the widest cell, one column at a time, until all fit or none can shrink further. */
function fit(least: readonly number[], full: readonly number[], room: number): number[] {
  const widths = [...full]
  for (let over = lengthOf(widths) - room; over > 0; over--) {
    const spare = widths.map((width, column) => (width > (least[column] ?? 0) ? width : 0))
    const widest = spare.indexOf(Math.max(...spare))
    if (spare[widest] === 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

function lengthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1))
}

function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text
  let start = ""
  let left = width - columnsOf(ellipsis)
  for (const char of text) {
    left -= columnsOf(char)
    if (left < 0) break
    start += char
  }
  return start + ellipsis
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)))
}

const plain = /^[ -~]*$/
const mark = /\p{M}/u
const regional = /[\u{1f1e6}-\u{1f1ff}]/u
/** East Asian Wide and Fullwidth (UAX #11): scripts, and the ranges of punctuation and symbols that belong to them. */
const wide = new RegExp(
  [
    "\\p{Emoji_Presentation}|\\p{Script=Han}|\\p{Script=Hiragana}|\\p{Script=Katakana}|\\p{Script=Bopomofo}",
    "\\p{Script=Yi}|\\p{Script=Tangut}|[\\u1100-\\u115f\\uac00-\\ud7a3\\ua960-\\ua97c]",
    "[\\u2329\\u232a\\u3000-\\u303e\\u3099-\\u30ff\\u3190-\\u33ff\\ufe10-\\ufe19\\ufe30-\\ufe6b\\uff01-\\uff60\\uffe0-\\uffe6]",
  ].join("|"),
  "u",
)
/** Vowels and finals of Hangul, which join the syllable before them. */
const joining = /[\u1160-\u11ff\ud7b0-\ud7fb]/u

/** Returns the width of a text without control characters on a terminal, in columns. */
function columnsOf(text: string): number {
  if (plain.test(text)) return text.length
  let columns = 0
  for (const char of text) columns += columnsOfCharacter(char)
  return columns
}

function columnsOfCharacter(char: string): number {
  if (mark.test(char) || joining.test(char)) return 0
  // Two regional indicators make a flag, which takes two columns.
  if (regional.test(char)) return 1
  return wide.test(char) ? 2 : 1
}

/** Prints a table that fits the terminal. @param rows - as for {@link formatTable} */
export function printTable(
  io: Pick<Io, "out" | "columns">,
  headings: readonly Heading[],
  rows: readonly (readonly string[])[],
): void {
  for (const line of formatTable(headings, rows, io.columns)) io.out(line)
}
