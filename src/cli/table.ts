/** What stands above a column; one of `text` is to be read, not copied, so it may be cut to fit a terminal. */
export type Heading = string | { readonly text: string }

/** Columns that even a cut text keeps. */
const leastTextColumns = 8
const ellipsis = "…"
const gap = "  "

/**
 * Columns of equal width, two spaces apart; headings first.
 * @param rows - cells that are safe for a terminal, one per heading
 * @param columns - of the terminal, which the widest texts are cut to fit; undefined cuts nothing
 */
export function formatTable(
  headings: readonly Heading[],
  rows: readonly (readonly string[])[],
  columns?: number,
): string[] {
  const titles = headings.map((heading) => (typeof heading === "string" ? heading : heading.text))
  const lines = [titles, ...rows]
  const full = titles.map((_, column) =>
    lines.reduce((widest, line) => Math.max(widest, columnsOf(line[column] ?? "")), 0),
  )
  const widths = columns === undefined ? full : fit(headings, full, columns)
  return lines.map((line) =>
    line
      .map((cell, column) => pad(cut(cell, widths[column] ?? 0), widths[column] ?? 0))
      .join(gap)
      .trimEnd(),
  )
}

/**
 * Takes from the widest text, a column at a time, until a line is on one row of the terminal; where what has to be whole
 * takes more, on as many.
 */
function fit(headings: readonly Heading[], full: readonly number[], columns: number): number[] {
  const widths = [...full]
  const least = headings.map((heading, column) => {
    const width = full[column] ?? 0
    return typeof heading === "string"
      ? width
      : Math.min(width, Math.max(columnsOf(heading.text), leastTextColumns))
  })
  const room = columns * Math.ceil(lengthOf(least) / columns)
  for (let over = lengthOf(widths) - room; over > 0; over--) {
    const spare = widths.map((width, column) => (width > (least[column] ?? 0) ? width : 0))
    const widest = spare.indexOf(Math.max(...spare))
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

function lengthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1))
}

function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text
  let kept = ""
  let left = width - columnsOf(ellipsis)
  for (const char of text) {
    left -= columnsOf(char)
    if (left < 0) break
    kept += char
  }
  return kept + ellipsis
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)))
}

const plain = /^[ -~]*$/
const mark = /\p{M}/u
const wide =
  /[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}！-｠]/u

/** Columns of a terminal that a text without control characters takes. */
function columnsOf(text: string): number {
  if (plain.test(text)) return text.length
  let columns = 0
  for (const char of text) if (!mark.test(char)) columns += wide.test(char) ? 2 : 1
  return columns
}
