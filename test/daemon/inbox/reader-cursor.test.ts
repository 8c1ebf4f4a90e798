import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { furthestCursor, ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { InboxHarness } from "../../kit/inbox-harness.js"

describe("ReaderCursor", () => {
  it("starts at 0 and survives a restart", () => {
    const { paths } = new InboxHarness()
    const cursor = ReaderCursor.open(paths, "hook")
    expect(cursor.seq).toBe(0)
    cursor.confirm(12)
    expect(cursor.seq).toBe(12)
    expect(ReaderCursor.open(paths, "hook").seq).toBe(12)
    expect(ReaderCursor.open(paths, "other").seq).toBe(0)
    expect(readFileSync(join(paths.cursors, "hook.json"), "utf8")).toBe('{"v":1,"seq":12}\n')
    expect(statSync(cursor.path).mode & 0o777).toBe(0o600)
  })

  it("never goes back, even if two processes read under one name", () => {
    const { paths } = new InboxHarness()
    const fast = ReaderCursor.open(paths, "hook")
    const slow = ReaderCursor.open(paths, "hook")
    fast.confirm(100)
    slow.confirm(50)
    expect(slow.seq).toBe(100)
    expect(ReaderCursor.open(paths, "hook").seq).toBe(100)
  })

  it("has single lines that it took, and leaves those between them unread", () => {
    const { paths } = new InboxHarness()
    const cursor = ReaderCursor.open(paths, "me")
    cursor.confirm(2)
    cursor.take([4, 6, 7])
    const has = [2, 3, 4, 5, 6, 7, 8].filter((line) => ReaderCursor.open(paths, "me").has(line))
    expect(has).toEqual([2, 4, 6, 7])
    expect(cursor.groupsApart).toBe(2)
    expect(readFileSync(cursor.path, "utf8")).toBe('{"v":1,"seq":2,"also":[[4,4],[6,7]]}\n')
    cursor.take([3])
    expect(cursor.seq).toBe(4)
    cursor.confirm(5)
    expect(readFileSync(cursor.path, "utf8")).toBe('{"v":1,"seq":7}\n')
  })

  it("keeps the lines of both if two processes take some under one name", () => {
    const { paths } = new InboxHarness()
    const one = ReaderCursor.open(paths, "me")
    const other = ReaderCursor.open(paths, "me")
    one.take([2])
    other.take([4])
    one.confirm(1)
    expect(readFileSync(one.path, "utf8")).toBe('{"v":1,"seq":2,"also":[[4,4]]}\n')
  })

  it.each(["../x", "a/b", "", ".", "..", ".hidden", "a".repeat(65), "a b", "a\0"])(
    "refuses a name that must not become a path: %j",
    (name) => {
      expect(() => ReaderCursor.open(new InboxHarness().paths, name)).toThrow(
        expect.objectContaining({ code: "INVALID_NAME" }),
      )
    },
  )

  it.each([
    "",
    "{",
    "7",
    "null",
    '{"seq":-1}',
    '{"seq":"7"}',
    '{"seq":1,"also":7}',
    '{"seq":1,"also":[[5,4]]}',
    '{"seq":1,"also":[[5]]}',
  ])("refuses a file that is not a cursor: %j", (text) => {
    const { paths } = new InboxHarness()
    mkdirSync(paths.cursors, { recursive: true })
    writeFileSync(join(paths.cursors, "hook.json"), text)
    expect(() => ReaderCursor.open(paths, "hook")).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
  })

  it("fails with FILE_FAILED when it cannot be written", () => {
    const { paths } = new InboxHarness()
    const cursor = ReaderCursor.open(paths, "hook")
    mkdirSync(paths.dir, { recursive: true })
    writeFileSync(paths.cursors, "not a directory")
    expect(() => {
      cursor.confirm(1)
    }).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
  })
})

describe("furthestCursor", () => {
  it("is 0 without readers, and the highest position with several", () => {
    const { paths } = new InboxHarness()
    expect(furthestCursor(paths.cursors)).toBe(0)
    ReaderCursor.open(paths, "a").confirm(3)
    ReaderCursor.open(paths, "b").confirm(9)
    expect(furthestCursor(paths.cursors)).toBe(9)
    ReaderCursor.open(paths, "a").take([20])
    expect(furthestCursor(paths.cursors)).toBe(20)
  })
})
