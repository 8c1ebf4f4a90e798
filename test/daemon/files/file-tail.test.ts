import { appendFileSync, renameSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { FileTail } from "../../../src/daemon/files/file-tail.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("FileTail", () => {
  let path: string
  beforeEach(() => {
    path = join(temporaryDirectory(), "log")
  })

  const open = () => {
    const tail = new FileTail(path)
    onTestFinished(() => tail.close())
    return tail
  }

  it("returns complete lines appended after it was opened", () => {
    writeFileSync(path, "before\n")
    const tail = open()
    expect(tail.read()).toEqual([])
    appendFileSync(path, "one\ntwo\nthr")
    expect(tail.read()).toEqual(["one", "two"])
    appendFileSync(path, "ee\n")
    expect(tail.read()).toEqual(["three"])
    expect(tail.read()).toEqual([])
  })

  it("reads a file that is created later", () => {
    const tail = open()
    expect(tail.read()).toEqual([])
    writeFileSync(path, "one\n")
    expect(tail.read()).toEqual(["one"])
  })

  it("reads the rest of a replaced file, then the new one", () => {
    writeFileSync(path, "before\n")
    const tail = open()
    appendFileSync(path, "last of the old\n")
    renameSync(path, `${path}.1`)
    writeFileSync(path, "first of the new\n")
    expect(tail.read()).toEqual(["last of the old", "first of the new"])
    appendFileSync(path, "second\n")
    expect(tail.read()).toEqual(["second"])
  })

  it("starts again after the file is truncated", () => {
    writeFileSync(path, "a long line that was there before\n")
    const tail = open()
    truncateSync(path)
    appendFileSync(path, "new\n")
    expect(tail.read()).toEqual(["new"])
  })

  it("joins characters split over two writes, and lines larger than its buffer", () => {
    const tail = open()
    const bytes = Buffer.from(`${"é".repeat(100_000)}\n`)
    writeFileSync(path, bytes.subarray(0, 65_535))
    expect(tail.read()).toEqual([])
    appendFileSync(path, bytes.subarray(65_535))
    expect(tail.read()).toEqual(["é".repeat(100_000)])
  })
})
