import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { GroupCommit } from "../../../src/daemon/inbox/group-commit.js"
import { until } from "../../kit/condition.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const receipt = (mark: number) => ({ msgId: undefined, mark })

function setUp() {
  const fd = openSync(join(temporaryDirectory(), "file"), "w")
  onTestFinished(() => {
    closeSync(fd)
  })
  const groups: (readonly unknown[])[] = []
  const failures: Error[] = []
  const commit = new GroupCommit({
    onDurable: ({ marks }) => groups.push(marks),
    onFailed: (error) => failures.push(error),
  })
  return { fd, groups, failures, commit }
}

describe("GroupCommit", () => {
  it("collects entries added during one sync for the next", async () => {
    const { fd, groups, commit } = setUp()
    commit.add(fd, [receipt(1)], true)
    commit.add(fd, [receipt(2)], true)
    commit.add(fd, [receipt(3)], true)
    expect(groups).toEqual([])
    expect(commit.waiting).toBe(3)
    await commit.idle()
    expect(groups).toEqual([[1], [2, 3]])
    expect(commit.waiting).toBe(0)
  })

  it("does not sync for an entry whose line is on disk", async () => {
    const { fd, groups, commit } = setUp()
    commit.add(fd, [receipt(1)], true)
    await commit.idle()
    commit.add(fd, [receipt(1)], false)
    expect(groups).toEqual([[1], [1]])
  })

  it("syncs once for an entry whose line an earlier process wrote", async () => {
    const { fd, groups, commit } = setUp()
    commit.add(fd, [receipt(1)], false)
    expect(groups).toEqual([])
    await commit.idle()
    expect(groups).toEqual([[1]])
  })

  it("reports nothing as durable after a failed sync until it is settled", async () => {
    const { fd, groups, failures, commit } = setUp()
    const noSuchFd = 1_000_000
    commit.add(noSuchFd, [receipt(1)], true)
    await until("the failure", () => failures.length > 0)
    commit.add(fd, [receipt(2)], true)
    await commit.idle()
    expect(groups).toEqual([])
    commit.settle()
    expect(groups).toEqual([[1, 2]])
    commit.add(fd, [receipt(3)], true)
    await commit.idle()
    expect(groups).toEqual([[1, 2], [3]])
  })

  it("reports at most as many lines at once as one frame can name", async () => {
    const { fd, groups, commit } = setUp()
    const many = Array.from({ length: 2_500 }, (_, mark) => receipt(mark))
    commit.add(fd, many, true)
    await commit.idle()
    expect(groups.map((group) => group.length)).toEqual([1_000, 1_000, 500])
    expect(groups.flat()).toEqual(many.map(({ mark }) => mark))
  })
})
