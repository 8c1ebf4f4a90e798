// Formats the result of a benchmark as Markdown that is also readable in a terminal.

/**
 * @typedef {object} Table
 * @property {string} caption
 * @property {readonly string[]} columns
 * @property {readonly (readonly (string | number)[])[]} rows - the first cell of each is its label
 */

/**
 * @typedef {object} Report
 * @property {string} goal - the goal in one sentence
 * @property {readonly Table[]} tables
 * @property {readonly string[]} [notes]
 */

/** @param {Report} report */
export function formatReport({ goal, tables, notes = [] }) {
  const blocks = [`Goal: ${goal}`, ...tables.map(formatTable)]
  if (notes.length > 0) blocks.push(notes.map((note) => `- ${note}`).join("\n"))
  return blocks.join("\n\n")
}

/** @param {Table} table */
function formatTable({ caption, columns, rows }) {
  const cells = [columns, ...rows].map((row) => row.map(String))
  const widths = columns.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) => formatRow(row, widths))
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  lines.splice(1, 0, `| ${rule.join(" | ")} |`)
  return `${caption}\n\n${lines.join("\n")}`
}

/** @param {readonly string[]} row @param {readonly number[]} widths */
function formatRow(row, widths) {
  const cells = widths.map((width, column) => {
    const cell = row[column] ?? ""
    return column === 0 ? cell.padEnd(width) : cell.padStart(width)
  })
  return `| ${cells.join(" | ")} |`
}
