import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readFileLines } from "../../../src/cli/input/file-lines.js"
import { temporaryDirectory } from "../../kit/temporary.js"

function fileOf(content: string | Uint8Array): string {
  const path = join(temporaryDirectory(), "lines")
  writeFileSync(path, content)
  return path
}

describe("readFileLines", () => {
  it("reads no lines from an empty file", () => {
    expect([...readFileLines(fileOf(""))]).toEqual([])
  })

  it("returns line numbers and the position after each line", () => {
    expect([...readFileLines(fileOf("ä\n\nlast"))]).toEqual([
      { number: 1, text: "ä", isWhole: true, after: { offset: 3, lines: 1 } },
      { number: 2, text: "", isWhole: true, after: { offset: 4, lines: 2 } },
      { number: 3, text: "last", isWhole: false, after: { offset: 8, lines: 3 } },
    ])
  })

  it("continues from a position", () => {
    const path = fileOf("one\ntwo\nthree\n")
    const [first, ...others] = readFileLines(path)
    expect([...readFileLines(path, first?.after)]).toEqual(others)
  })

  it("joins lines over chunk boundaries", () => {
    const lines = Array.from({ length: 9 }, (_, i) => "é".repeat(170_000 + i))
    const found = [...readFileLines(fileOf(`${lines.join("\n")}\n`))]
    expect(found.map(({ text }) => text)).toEqual(lines)
    expect(found.at(-1)?.after.offset).toBe(Buffer.byteLength(lines.join("\n")) + 1)
  })

  it("returns no text for a line that is not UTF-8 or too long, and continues", () => {
    const bytes = Buffer.concat([
      Buffer.from([0xf0, 0xbf, 0xbd, 0x0a]),
      Buffer.alloc(3_000_000, "x"),
      Buffer.from("\nok\n"),
    ])
    expect([...readFileLines(fileOf(bytes))].map(({ text }) => text)).toEqual([undefined, undefined, "ok"])
  })

  it("throws NOT_FOUND for a missing file, FILE_FAILED for a directory", () => {
    expect(() => [...readFileLines("/nowhere/at/all")]).toThrow(/no such file/)
    expect(() => [...readFileLines(temporaryDirectory())]).toThrow(/cannot be read \(EISDIR\)/)
  })
})
