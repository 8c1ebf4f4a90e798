import { appendFileSync, mkdirSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { OutboxProblems } from "../../src/daemon/outbox-problems.js"
import { OutboxWatch } from "../../src/daemon/outbox-watch.js"
import { until } from "../kit/condition.js"
import { temporaryDirectory } from "../kit/temporary.js"

/** A file and a directory to be watched, and what is told of them. */
function place() {
  const root = temporaryDirectory()
  const file = join(root, "lines")
  const drop = join(root, "drop")
  writeFileSync(file, "")
  mkdirSync(drop)
  const problems: (string | undefined)[] = []
  const watch = new OutboxWatch(new OutboxProblems((problem) => problems.push(problem?.message)))
  onTestFinished(() => watch.close())
  const told: (string | undefined)[] = []
  const wanted = (path: string, identity = "") => ({
    path,
    identity,
    onActivity: (name: string | undefined) => void told.push(name),
  })
  /** Does something and waits until it is told. */
  const notices = async (what: string, act: () => void, name?: string) => {
    told.length = 0
    act()
    await until(what, () => told.includes(name))
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  return { root, file, drop, problems, watch, told, wanted, notices, turn }
}

describe("the watch over an outbox", () => {
  it("tells of a file when it stands, and of each change from then on", async () => {
    const { file, watch, wanted, notices, problems } = place()
    await notices("the beginning", () => watch.set([wanted(file)]))
    await notices("a line", () => appendFileSync(file, "a\n"))
    await notices("another", () => appendFileSync(file, "b\n"))
    expect(problems).toEqual([])
  })

  it("names what is put into a directory", async () => {
    const { root, drop, watch, wanted, notices } = place()
    await notices("the beginning", () => watch.set([wanted(drop)]))
    writeFileSync(join(root, "ready"), "{}")
    await notices("the message", () => renameSync(join(root, "ready"), join(drop, "m.json")), "m.json")
  })

  it("goes on with the file it knows when that is moved, by whichever name", async () => {
    const { root, file, watch, wanted, notices } = place()
    await notices("the beginning", () => watch.set([wanted(file)]))
    const moved = join(root, "moved")
    await notices("the move", () => renameSync(file, moved))
    await notices("its return", () => {
      renameSync(moved, file)
      watch.set([wanted(file)])
    })
    await notices("a line", () => appendFileSync(file, "a\n"))
  })

  it("watches a directory again that was removed and made anew, even under the same number", async () => {
    const { drop, watch, wanted, notices, turn } = place()
    await notices("the beginning", () => watch.set([wanted(drop)]))
    for (let round = 0; round < 3; round++) {
      await notices("the end", () => {
        rmdirSync(drop)
        mkdirSync(drop)
      })
      watch.set([wanted(drop)])
      await turn()
      await notices("a message", () => writeFileSync(join(drop, "m.json"), "{}"), "m.json")
      rmSync(join(drop, "m.json"))
    }
  })

  it("finds later what was not there", async () => {
    const { root, watch, wanted, notices, told, problems, turn } = place()
    const later = join(root, "later")
    watch.set([wanted(later)])
    await turn()
    expect(told).toEqual([])
    writeFileSync(later, "")
    await notices("the beginning", () => watch.set([wanted(later)]))
    expect(problems).toEqual([])
  })

  it("does not look behind a symbolic link", async () => {
    const { root, drop, watch, wanted, told, file, notices, turn } = place()
    const link = join(root, "link")
    symlinkSync(drop, link)
    watch.set([wanted(link)])
    await turn()
    writeFileSync(join(drop, "m.json"), "{}")
    // Events come in order: one of the drop would have come before this one.
    await notices("a line", () => {
      watch.set([wanted(link), wanted(file)])
      appendFileSync(file, "a\n")
    })
    expect(told).not.toContain("m.json")
  })

  it("tells nothing more of what is no longer wanted, nor once it is closed", async () => {
    const { file, drop, watch, wanted, told, notices } = place()
    await notices("both", () => watch.set([wanted(file), wanted(drop)]))
    watch.set([wanted(file)])
    writeFileSync(join(drop, "m.json"), "{}")
    await notices("a line", () => appendFileSync(file, "a\n"))
    expect(told).not.toContain("m.json")
    watch.close()
    told.length = 0
    const other = place()
    await other.notices("another watch", () => other.watch.set([other.wanted(other.file)]))
    appendFileSync(file, "b\n")
    await other.notices("its line", () => appendFileSync(other.file, "b\n"))
    expect(told).toEqual([])
  })
})
