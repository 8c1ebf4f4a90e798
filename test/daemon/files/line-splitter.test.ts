import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type LineSink, LineSplitter, type SplitEnd } from "../../../src/daemon/files/line-splitter.js"

/** A file that grows, and what a splitter found in it. */
class GrowingFile implements LineSink {
  bytes = Buffer.alloc(0)
  room = Number.POSITIVE_INFINITY
  reads = 0
  readonly lines: (string | { oversize: number })[] = []
  readonly splitter: LineSplitter

  constructor(maxLineBytes = 1024) {
    const readAt = (buffer: Uint8Array, position: number) => {
      this.reads++
      return this.bytes.copy(buffer, 0, position)
    }
    this.splitter = new LineSplitter(readAt, 0, maxLineBytes)
  }

  append(text: string | Uint8Array): this {
    this.bytes = Buffer.concat([this.bytes, Buffer.from(text as string)])
    return this
  }

  look(): SplitEnd {
    for (;;) {
      const step = this.splitter.step(this)
      if (step !== "more") return step
    }
  }

  onLine(line: Buffer, start: number, end: number): void {
    expect(line.length).toBe(end - start)
    this.lines.push(line.toString("latin1"))
    this.room--
  }

  onOversize(start: number, end: number): void {
    this.lines.push({ oversize: end - start })
    this.room--
  }

  hasRoom(): boolean {
    return this.room > 0
  }
}

describe("a line splitter", () => {
  it("passes on complete lines only", () => {
    const file = new GrowingFile().append("one\ntw")
    expect(file.look()).toBe("end")
    expect(file.lines).toEqual(["one"])
    file.append("o\n").look()
    expect(file.lines).toEqual(["one", "two"])
  })

  it("finds the same lines however the bytes arrive", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .constantFrom("\n", "\r\n", "\n\n", "\0", "é", "😀", "x".repeat(60), "y".repeat(70_000))
        .map((text) => Buffer.from(text)),
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(200_000), { maxLength: 8 }),
        (pieces, cuts) => {
          const whole = Buffer.concat(pieces)
          const file = new GrowingFile(50_000)
          const places = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b)
          let from = 0
          for (const to of places) {
            file.append(whole.subarray(from, to)).look()
            from = to
          }
          const expected = whole
            .toString("latin1")
            .split("\n")
            .map((line) => line.replace(/^\0+/, ""))
          const partial = expected.pop() ?? ""
          expect(file.lines).toEqual(
            expected.map((line) => (line.length > 50_000 ? { oversize: line.length } : line)),
          )
          expect(file.splitter.lineStart).toBe(whole.length - partial.length)
          expect(file.splitter.scanned).toBe(whole.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  it("stops when the sink is full, and continues from there", () => {
    const file = new GrowingFile().append("a\nb\nc\nd")
    file.room = 2
    expect(file.look()).toBe("full")
    expect(file.look()).toBe("full")
    expect(file.lines).toEqual(["a", "b"])
    file.room = 2
    expect(file.append("\n").look()).toBe("end")
    expect(file.lines).toEqual(["a", "b", "c", "d"])
  })

  it("reads a long partial line only once", () => {
    const file = new GrowingFile(10_000_000)
    let read = 0
    const readAt = (buffer: Uint8Array, position: number) => {
      const count = file.bytes.copy(buffer, 0, position)
      read += count
      return count
    }
    const splitter = new LineSplitter(readAt, 0, 10_000_000)
    for (let i = 0; i < 500; i++) {
      file.append("x".repeat(4_000))
      while (splitter.step(file) === "more");
    }
    expect(read).toBeLessThan(3 * file.bytes.length)
    file.append("\n")
    splitter.step(file)
    expect(file.lines).toEqual(["x".repeat(2_000_000)])
  })

  it.each([
    ["emptied", ""],
    ["shorter", "new\n"],
    ["of the same size", "AAAA\nBBBB\n"],
    ["longer", "other\ncontent that is longer\n"],
  ])("notices a file that is %s", (_what, content) => {
    const file = new GrowingFile().append("aaaa\nbbbb\n")
    expect(file.look()).toBe("end")
    file.bytes = Buffer.from(content)
    expect(file.look()).toBe("replaced")
    expect(file.lines).toEqual(["aaaa", "bbbb"])
  })
})
