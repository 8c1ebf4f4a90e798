import { describe, expect, it } from "vitest"
import { formatTable } from "../../../src/cli/output/table.js"

const headings = ["ID", { text: "TASK" }, "WHO", { text: "REASON" }]
const id = "prop_k3v5mq2a7xw4tz6b"
const task = "read all of src and say what is wrong with it"
const rows = [
  [id, task, "@bob", "too long to be read by anybody"],
  ["prop_2", "short", "@ann", ""],
]
const widest = (lines: readonly string[]) => Math.max(...lines.map((line) => line.length))

describe("formatTable", () => {
  it("cuts nothing without a width, or if everything fits", () => {
    const whole = formatTable(headings, rows)
    expect(whole[1]).toBe(`${id}  ${task}  @bob  too long to be read by anybody`)
    expect(whole[2]).toBe(`prop_2${" ".repeat(17)}short${" ".repeat(42)}@ann`)
    expect(formatTable(headings, rows, widest(whole))).toEqual(whole)
  })

  it("cuts the widest texts until a line fits, and no other columns", () => {
    for (const columns of [60, 80, 100]) {
      const lines = formatTable(headings, rows, columns)
      expect(widest(lines)).toBe(columns)
      expect(lines[1]?.startsWith(`${id}  read all of `)).toBe(true)
      expect(lines[1]).toContain("…  @bob  ")
      expect(lines[2]).toContain("short ")
    }
    expect(formatTable(headings, rows, 100)[1]).toContain("  too long to be read by anybody")
  })

  it("uses as few lines per row as possible, and breaks none within a column", () => {
    expect(formatTable(headings, rows, 47)[1]).toBe(`${id}  read al…  @bob  too lon…`)
    expect(formatTable(headings, rows, 46)).toEqual([
      `ID${" ".repeat(21)}TASK${" ".repeat(15)}WHO`,
      "  REASON",
      `${id}  read all of src …  @bob`,
      "  too long to be read by anybody",
      `prop_2${" ".repeat(17)}short${" ".repeat(14)}@ann`,
    ])
    expect(formatTable(headings, rows, 1)).toEqual([
      ...["ID", "  TASK", "  WHO", "  REASON"],
      ...[id, "  read al…", "  @bob", "  too lon…"],
      ...["prop_2", "  short", "  @ann"],
    ])
  })

  it("omits empty columns, then optional ones, before it breaks a line", () => {
    const table = (columns?: number) =>
      formatTable(["ID", "ROLE", { optional: "SINCE" }, "NAME"], [["@1234", "", "2 min", "bob"]], columns)
    expect(table()).toEqual(["ID     ROLE  SINCE  NAME", "@1234        2 min  bob"])
    expect(table(20)).toEqual(["ID     SINCE  NAME", "@1234  2 min  bob"])
    expect(table(12)).toEqual(["ID     NAME", "@1234  bob"])
    expect(table(8)).toEqual(["ID", "  NAME", "@1234", "  bob"])
  })

  it.each(["「漢」、。", "（！）", "ー・〜", "한국어", "ㄅㄆ", "＄￥", "🇩🇪🇫🇷", "각"])(
    "gives %s its width on a terminal",
    (text) => {
      const width = text.startsWith("🇩") ? 4 : 2 * Array.from(text.normalize("NFC")).length
      const [, line = ""] = formatTable(["TEXT", "ID"], [[text, "x"]])
      expect(line).toBe(`${text}${" ".repeat(Math.max(4, width) - width)}  x`)
    },
  )

  it("counts wide characters as two columns and combining marks as none", () => {
    const [, line = ""] = formatTable([{ text: "T" }, "ID"], [["漢字漢字漢字漢字", "x"]], 14)
    expect(line).toBe("漢字漢字…   x")
    const marked = "e\u0301".repeat(8)
    expect(formatTable([{ text: "T" }, "ID"], [[marked, "x"]], 12)[1]).toBe(`${marked}  x`)
    expect(
      formatTable(
        ["T", "ID"],
        [
          ["漢", "x"],
          ["ab", "y"],
        ],
      ).slice(1),
    ).toEqual(["漢  x", "ab  y"])
  })

  it("a table in a pipe has one line per row", () => {
    const many = Array.from({ length: 200_000 }, () => ["x"])
    expect(formatTable(["ID"], many)).toHaveLength(200_001)
  })
})
