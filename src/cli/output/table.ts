/** What stands above a column; one of `text` is to be read, not copied, so it may be cut to fit a terminal. */
export type Heading = string | { readonly text: string }

/** Columns that even a cut text keeps. */
const leastTextColumns = 8
const ellipsis = "…"
const gap = "  "

/**
 * Columns of equal width, two spaces apart; headings first. What does not fit beside each other stands on further
 * lines, indented, and what would be empty there is left out.
 * @param rows - cells that are safe for a terminal, one per heading
 * @param columns - of the terminal, which the widest texts are cut to fit; undefined cuts nothing
 */
export function formatTable(
  headings: readonly Heading[],
  rows: readonly (readonly string[])[],
  columns = Infinity,
): string[] {
  const titles = headings.map((heading) => (typeof heading === "string" ? heading : heading.text))
  const lines = [titles, ...rows]
  const full = titles.map((_, column) =>
    lines.reduce((widest, line) => Math.max(widest, columnsOf(line[column] ?? "")), 0),
  )
  const parts = layOut(headings, full, columns)
  return lines.flatMap((line) =>
    parts
      .map((part, index) => {
        const cells = part.map(({ column, width }) => pad(cut(line[column] ?? "", width), width))
        return (index === 0 ? "" : gap) + cells.join(gap).trimEnd()
      })
      .filter((text, index) => index === 0 || text !== gap),
  )
}

/** Which columns of a table stand beside each other. */
type Part = readonly { readonly column: number; readonly width: number }[]

function layOut(headings: readonly Heading[], full: readonly number[], columns: number): Part[] {
  const least = headings.map((heading, column) => {
    const width = full[column] ?? 0
    return typeof heading === "string"
      ? width
      : Math.min(width, Math.max(columnsOf(heading.text), leastTextColumns))
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

/** Takes from the widest text, a column at a time, until there is room for all, or nothing can be taken any more. */
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
