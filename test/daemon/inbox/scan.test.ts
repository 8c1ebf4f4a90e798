import { closeSync, openSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { lastSeqOf, offsetAfter, scanLines, wholeBytesOf } from "../../../src/daemon/inbox/scan.js"
import { temporaryDirectory } from "../../kit/temporary.js"

/** Lines of a few bytes, and lines longer than the blocks that are read. */
const fillings = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.integer({ min: 65_500, max: 65_570 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 200_000 }) },
  ),
  { maxLength: 30 },
)
const partials = fc.constantFrom("", "{", '{"seq":99999,', "x".repeat(70_000))

function withText<T>(text: string, use: (fd: number, bytes: number) => T): T {
  const path = join(temporaryDirectory(), "lines")
  writeFileSync(path, text)
  const fd = openSync(path, "r")
  try {
    return use(fd, Buffer.byteLength(text))
  } finally {
    closeSync(fd)
  }
}

function linesOf(sizes: readonly number[]): string[] {
  return sizes.map((size, index) => `{"seq":${index + 1},"x":"${"y".repeat(size)}"}`)
}

function all(fd: number, offset = 0): { lines: string[]; end: number } {
  const lines: string[] = []
  const scan = scanLines(fd, offset)
  let step = scan.next()
  for (; step.done !== true; step = scan.next()) lines.push(step.value.toString())
  return { lines, end: step.value }
}

describe("scanLines", () => {
  it("yields every whole line and returns where the last one ends", () => {
    fc.assert(
      fc.property(fillings, partials, (sizes, partial) => {
        const lines = linesOf(sizes)
        const whole = lines.map((line) => `${line}\n`).join("")
        withText(whole + partial, (fd, bytes) => {
          expect(all(fd)).toEqual({ lines, end: whole.length })
          expect(wholeBytesOf(fd, bytes)).toBe(whole.length)
        })
      }),
      { numRuns: 60 },
    )
  })

  it("keeps empty lines", () => {
    withText("\n\na\n", (fd) => {
      expect(all(fd).lines).toEqual(["", "", "a"])
    })
  })
})

describe("offsetAfter", () => {
  it("finds a line at or before the first one wanted", () => {
    fc.assert(
      fc.property(fillings, partials, fc.nat(32), (sizes, partial, seq) => {
        const lines = linesOf(sizes)
        withText(lines.map((line) => `${line}\n`).join("") + partial, (fd, bytes) => {
          const { lines: found } = all(fd, offsetAfter(fd, bytes, seq))
          expect(lines.slice(-found.length || lines.length)).toEqual(found)
          expect(found.length).toBeGreaterThanOrEqual(Math.max(0, lines.length - seq))
        })
      }),
      { numRuns: 60 },
    )
  })

  it("reads only the end of a large file", () => {
    const text = linesOf(Array.from({ length: 5_000 }, () => 100)).join("\n")
    withText(`${text}\n`, (fd, bytes) => {
      expect(all(fd, offsetAfter(fd, bytes, 4_999)).lines.length).toBeLessThanOrEqual(2)
    })
  })
})

describe("lastSeqOf", () => {
  it("returns the seq of the last whole line", () => {
    fc.assert(
      fc.property(fillings, partials, (sizes, partial) => {
        withText(
          linesOf(sizes)
            .map((line) => `${line}\n`)
            .join("") + partial,
          (fd, bytes) => {
            expect(lastSeqOf(fd, bytes)).toBe(sizes.length === 0 ? undefined : sizes.length)
          },
        )
      }),
      { numRuns: 60 },
    )
  })

  it("skips lines without a seq", () => {
    withText('{"seq":4,"a":1}\nnonsense\n\n', (fd, bytes) => {
      expect(lastSeqOf(fd, bytes)).toBe(4)
    })
  })
})
