import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { asNobody, isRoot, SmallDisk } from "../../kit/file-system.js"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)

describe.runIf(isRoot())("an outbox on a full disk", () => {
  it("sends one window of lines, then waits, reports the problem once, and recovers by itself", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path, limits: { windowLines: 10 } })
    harness.sweep()
    harness.say(...numbers(0, 30))
    disk.fill()
    expect(contents(harness.settle())).toEqual(numbers(0, 10))
    for (let i = 0; i < 5; i++) harness.sweep()
    expect(harness.settle()).toEqual([])
    expect(harness.problems).toHaveLength(1)
    expect(harness.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      message: "outbox.cursor.json: cannot be written (ENOSPC: no space left on device)",
      hint: "free some space; the daemon continues by itself",
    })
    disk.free()
    harness.sweep()
    expect(harness.problems.at(-1)).toBeUndefined()
    expect(contents(harness.settle())).toEqual(numbers(10, 20))
    harness.sweep()
    expect(contents(harness.settle())).toEqual(numbers(20, 30))
    harness.close()
    expect(harness.take()).toEqual([])
  })

  it("hands out unsaved lines again after a crash, under the same ids", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path })
    harness.sweep()
    harness.say(...numbers(0, 5))
    disk.fill()
    const ids = harness.settle().map(({ id }) => id)
    harness.sweep()
    harness.crash()
    expect(harness.take().map(({ id }) => id)).toEqual(ids)
  })

  it("keeps a bad line until it can be recorded, once", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path })
    harness.sweep()
    harness.append(`nonsense\n${message("x".repeat(5_000), { to: "nobody" })}\n`)
    harness.say("fine")
    disk.fill()
    expect(contents(harness.settle())).toEqual(["fine"])
    harness.sweep()
    expect(harness.rejected).toEqual([])
    expect(harness.outbox.pending).toBe(2)
    disk.free()
    harness.sweep()
    expect(harness.entries).toMatchObject([{ line: "nonsense" }, { file: expect.any(String) }])
    expect(harness.rejected).toHaveLength(2)
    harness.sweep()
    expect(harness.problems.at(-1)).toBeUndefined()
    expect(harness.size).toBe(0)
  })

  it("leaves no partial entry in rejected.jsonl", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path })
    harness.sweep()
    // Fill all but the rest of one page, so that an entry fits in part.
    harness.append("nonsense\n")
    harness.settle()
    const fd = openSync(harness.paths.rejected, "a")
    writeSync(fd, `${"#".repeat(3_500)}\n`)
    closeSync(fd)
    harness.append(`${"y".repeat(2_000)}\n`)
    disk.fill()
    harness.sweep()
    disk.free()
    harness.sweep()
    expect(harness.lines(harness.paths.rejected).filter((text) => !text.startsWith("#"))).toHaveLength(2)
  })

  it("keeps a large line until the disk has room for it", async () => {
    const disk = new SmallDisk(2 * 1024 * 1024)
    const harness = new OutboxHarness({ root: disk.path })
    harness.sweep()
    harness.say("x".repeat(700_000), "fine")
    disk.fill()
    expect(contents(harness.settle())).toEqual(["fine"])
    await expect
      .poll(() => harness.problems.map((problem) => problem?.message))
      .toContain("rejected.d: cannot be written (ENOSPC: no space left on device)")
    disk.free()
    await expect.poll(() => (harness.sweep(), harness.entries.length)).toBe(1)
    const [entry] = harness.entries
    if (entry !== undefined) expect(harness.kept(entry).length).toBe(message("x".repeat(700_000)).length)
    expect(readdirSync(harness.paths.rejectedDir)).toHaveLength(1)
  })
})

describe.runIf(isRoot())("an outbox on a read-only file system", () => {
  it("sends what it can, reports the problem, and recovers", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path, limits: { windowLines: 3 } })
    harness.sweep()
    harness.say(...numbers(0, 5))
    disk.setReadOnly(true)
    expect(contents(harness.settle())).toEqual(numbers(0, 3))
    harness.sweep()
    harness.sweep()
    expect(harness.problems.map((problem) => problem?.message)).toEqual([
      "outbox.cursor.json: cannot be written (EROFS: read-only file system)",
    ])
    disk.setReadOnly(false)
    harness.sweep()
    expect(contents(harness.settle())).toEqual(numbers(3, 5))
    expect(harness.problems.at(-1)).toBeUndefined()
  })

  it("sends nothing if it was never opened before", () => {
    const disk = new SmallDisk(256 * 1024)
    const harness = new OutboxHarness({ root: disk.path })
    harness.say("a")
    disk.setReadOnly(true)
    expect(harness.settle()).toEqual([])
    expect(harness.problems).toMatchObject([
      { message: expect.stringContaining("outbox.taken: cannot be read (EROFS") },
    ])
    disk.setReadOnly(false)
    expect(contents(harness.settle())).toEqual(["a"])
    expect(harness.problems.at(-1)).toBeUndefined()
  })
})

describe.runIf(isRoot())("an ordinary user's outbox", () => {
  it("waits while the directory cannot be written, and recovers", () => {
    const root = temporaryDirectory()
    const harness = new OutboxHarness({ root, limits: { windowLines: 2 } })
    asNobody(root, () => {
      harness.sweep()
      harness.say("a", "b", "c")
      chmodSync(harness.paths.dir, 0o500)
      expect(contents(harness.settle())).toEqual(["a", "b"])
      harness.sweep()
      expect(harness.problems).toMatchObject([
        {
          message: "outbox.cursor.json: cannot be written (EACCES: permission denied)",
          hint: "give the daemon's user access to it (chmod u+rwX); the daemon continues by itself",
        },
      ])
      chmodSync(harness.paths.dir, 0o700)
      harness.sweep()
      expect(contents(harness.settle())).toEqual(["c"])
      harness.sweep()
      expect(harness.size).toBe(0)
      harness.close()
    })
  })

  it("reports an outbox that cannot be read", () => {
    const root = temporaryDirectory()
    const harness = new OutboxHarness({ root })
    asNobody(root, () => {
      harness.say("a")
      chmodSync(harness.paths.outbox, 0o000)
      expect(harness.settle()).toEqual([])
      expect(harness.problems).toMatchObject([
        { message: "outbox.jsonl: cannot be read (EACCES: permission denied)" },
      ])
      expect(harness.taken).toEqual([])
      chmodSync(harness.paths.outbox, 0o600)
      expect(contents(harness.settle())).toEqual(["a"])
      harness.close()
    })
  })

  it("works on a file system without hard links", () => {
    const root = temporaryDirectory()
    const harness = new OutboxHarness({ root })
    mkdirSync(harness.paths.outboxTaken)
    asNobody(root, () => {
      harness.say("a", "b")
      // A file of another user, which Linux does not allow to be linked.
      process.seteuid?.(0)
      chownSync(harness.paths.outbox, 0, 0)
      chmodSync(harness.paths.outbox, 0o644)
      process.seteuid?.(65_534)
      const lines = harness.take()
      expect(contents(lines)).toEqual(["a", "b"])
      expect(harness.taken).toEqual([])
      lines[0]?.settle()
      harness.sweep()
      harness.crash()
      const again = harness.settle()
      expect(again.map(({ id }) => id)).toEqual([lines[1]?.id])
      harness.sweep()
      expect(harness.size).toBe(0)
      expect(harness.taken).toHaveLength(2)
      harness.close()
      rmSync(harness.paths.outbox)
      expect(harness.take()).toEqual([])
      harness.close()
    })
  })
})
