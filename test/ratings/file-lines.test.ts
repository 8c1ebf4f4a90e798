import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readFileLines } from "../../src/cli/input/file-lines.js"
import { temporaryDirectory } from "../kit/temporary.js"

function fileOf(content: string | Uint8Array): string {
  const path = join(temporaryDirectory(), "lines")
  writeFileSync(path, content)
  return path
}

describe("the lines of a file", () => {
  it("are none in an empty one", () => {
    expect([...readFileLines(fileOf(""))]).toEqual([])
  })

  it("come with their numbers and the place after each", () => {
    expect([...readFileLines(fileOf("ä\n\nlast"))]).toEqual([
      { number: 1, text: "ä", isWhole: true, after: { offset: 3, lines: 1 } },
      { number: 2, text: "", isWhole: true, after: { offset: 4, lines: 2 } },
      { number: 3, text: "last", isWhole: false, after: { offset: 8, lines: 3 } },
    ])
  })

  it("go on from a place", () => {
    const path = fileOf("one\ntwo\nthree\n")
    const [first, ...others] = readFileLines(path)
    expect([...readFileLines(path, first?.after)]).toEqual(others)
  })

  it("stay whole where chunks end within them", () => {
    const lines = Array.from({ length: 9 }, (_, i) => "é".repeat(170_000 + i))
    const found = [...readFileLines(fileOf(`${lines.join("\n")}\n`))]
    expect(found.map(({ text }) => text)).toEqual(lines)
    expect(found.at(-1)?.after.offset).toBe(Buffer.byteLength(lines.join("\n")) + 1)
  })

  it("are no text when they are not UTF-8 or too long, and the next one is", () => {
    const bytes = Buffer.concat([
      Buffer.from([0xf0, 0xbf, 0xbd, 0x0a]),
      Buffer.alloc(3_000_000, "x"),
      Buffer.from("\nok\n"),
    ])
    expect([...readFileLines(fileOf(bytes))].map(({ text }) => text)).toEqual([undefined, undefined, "ok"])
  })

  it("of no file are NOT_FOUND, of a directory FILE_FAILED", () => {
    expect(() => [...readFileLines("/nowhere/at/all")]).toThrow(/no such file/)
    expect(() => [...readFileLines(temporaryDirectory())]).toThrow(/cannot be read \(EISDIR\)/)
  })
})
