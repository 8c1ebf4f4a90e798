import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { dirname } from "node:path"
import { describe, expect, it } from "vitest"
import { isRoot, makeReadOnly } from "../../kit/file-system.js"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"

const line = (content: string) => `${message(content)}\n`

describe("outbox.jsonl while a daemon runs", () => {
  it("is created again after it was deleted, and its lines are sent", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("a")
    harness.take(1)
    harness.say("b")
    rmSync(harness.paths.outbox)
    await expect.poll(() => statSync(harness.paths.outbox, { throwIfNoEntry: false })?.size).toBe(0)
    harness.say("c")
    expect(contents(harness.take())).toEqual(["b", "c"])
    harness.crash()
    expect(contents(harness.take())).toEqual(["a", "b", "c"])
    expect(harness.problems).toEqual([])
  })

  it("loses no line if it is deleted while no daemon runs", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("a")
    harness.close()
    harness.say("b")
    rmSync(harness.paths.outbox)
    harness.say("c")
    expect(contents(harness.settle())).toEqual(["a", "b", "c"])
  })

  it("is read to its end, like its replacement, after mv replaced it", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("old")
    const other = `${harness.paths.outbox}.new`
    writeFileSync(other, line("new"))
    renameSync(other, harness.paths.outbox)
    expect(contents(harness.settle())).toEqual(["old", "new"])
    const reported = new Promise<void>((resolve) => {
      harness.onLines = resolve
    })
    harness.say("newer")
    await reported
    expect(contents(harness.settle())).toEqual(["newer"])
  })

  it("continues at the next line after it was moved away and back", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.settle()
    const away = `${harness.paths.outbox}.bak`
    renameSync(harness.paths.outbox, away)
    harness.say("b")
    expect(contents(harness.settle())).toEqual(["b"])
    appendFileSync(away, line("c"))
    renameSync(away, harness.paths.outbox)
    expect(contents(harness.settle())).toEqual(["c"])
    harness.say("d")
    expect(contents(harness.settle())).toEqual(["d"])
  })

  it("is read from its beginning after it was emptied in place and refilled", () => {
    const harness = new OutboxHarness()
    harness.say("one", "two")
    const first = harness.take()
    truncateSync(harness.paths.outbox)
    harness.say("three")
    const second = harness.take()
    expect(contents(second)).toEqual(["three"])
    expect(second[0]?.id).not.toBe(first[0]?.id)
    harness.outbox.release()
    // The lines read before it was emptied are still sent.
    expect(contents(harness.settle())).toEqual(["one", "two", "three"])
    harness.crash()
    expect(contents(harness.take())).toEqual(["three"])
  })

  it("is read from its beginning after it was written with >, whatever its length", () => {
    const harness = new OutboxHarness()
    for (const content of ["short", "a longer one than before", "tiny", "TINY"]) {
      writeFileSync(harness.paths.outbox, line(content))
      expect(contents(harness.settle())).toEqual([content])
    }
    expect(harness.taken).toHaveLength(1)
  })

  it("is reported once and not followed while a directory or a symbolic link replaces it", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    rmSync(harness.paths.outbox)
    mkdirSync(harness.paths.outbox)
    harness.sweep()
    harness.sweep()
    expect(harness.problems.map((problem) => problem?.message)).toEqual(["outbox.jsonl: is a directory"])
    expect(harness.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      hint: "move it away; the daemon creates a new outbox.jsonl by itself",
    })
    rmSync(harness.paths.outbox, { recursive: true })
    const outside = `${dirname(harness.paths.dir)}/outside.jsonl`
    writeFileSync(outside, line("outside"))
    symlinkSync(outside, harness.paths.outbox)
    harness.sweep()
    expect(harness.take()).toEqual([])
    expect(harness.problems.at(-1)?.message).toBe("outbox.jsonl: is a symbolic link")
    rmSync(harness.paths.outbox)
    harness.say("back")
    expect(contents(harness.settle())).toEqual(["back"])
    expect(harness.problems.at(-1)).toBeUndefined()
    expect(readFileSync(outside, "utf8")).toBe(line("outside"))
  })

  it("is created again in its directory, but not the directory itself", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.take()
    rmSync(harness.paths.dir, { recursive: true })
    harness.sweep()
    expect(existsSync(harness.paths.dir)).toBe(false)
    mkdirSync(harness.paths.dir)
    harness.sweep()
    harness.say("b")
    expect(contents(harness.settle())).toEqual(["b"])
    harness.sweep()
    expect(harness.problems.at(-1)).toBeUndefined()
    expect(harness.taken.length).toBeGreaterThan(0)
  })

  it("is linked again after its link was deleted", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.settle()
    rmSync(harness.paths.outboxTaken, { recursive: true })
    mkdirSync(harness.paths.outboxTaken)
    harness.sweep(0)
    expect(harness.taken).toHaveLength(1)
    harness.close()
    harness.say("b")
    expect(contents(harness.take())).toEqual(["b"])
  })
})

describe("outbox.jsonl after a restart", () => {
  /** Settles a line, closes, applies a change, and returns the lines that the next process takes. */
  function after(change: (harness: OutboxHarness) => void): string[] {
    const harness = new OutboxHarness()
    harness.say("settled")
    harness.settle()
    harness.close()
    change(harness)
    return contents(harness.settle())
  }

  it("continues at the first unsettled line", () => {
    expect(after((harness) => harness.say("next"))).toEqual(["next"])
  })

  it("is read from its beginning if it was emptied and refilled in place while no daemon ran", () => {
    expect(after((harness) => writeFileSync(harness.paths.outbox, line("SETTLED")))).toEqual(["SETTLED"])
    expect(after((harness) => writeFileSync(harness.paths.outbox, line("x")))).toEqual(["x"])
    expect(after((harness) => writeFileSync(harness.paths.outbox, line("much longer than it was")))).toEqual([
      "much longer than it was",
    ])
  })

  it("counts as a new file even if the file system reused the inode number", () => {
    const isReused = after((harness) => {
      rmSync(harness.paths.outboxTaken, { recursive: true })
      const { ino } = statSync(harness.paths.outbox)
      for (let i = 0; i < 200; i++) {
        rmSync(harness.paths.outbox)
        writeFileSync(harness.paths.outbox, line("settled"))
        if (statSync(harness.paths.outbox).ino === ino) return
      }
    })
    expect(isReused).toEqual(["settled"])
  })

  it("is recognized without its link, by inode, time of birth and content", () => {
    expect(
      after((harness) => {
        rmSync(harness.paths.outboxTaken, { recursive: true })
        harness.say("next")
      }),
    ).toEqual(["next"])
  })

  it("is recognized by its link after the whole directory was copied", () => {
    expect(
      after((harness) => {
        const [name = ""] = harness.taken
        const taken = `${harness.paths.outboxTaken}/${name}`
        writeFileSync(`${taken}.copy`, readFileSync(taken))
        renameSync(`${taken}.copy`, taken)
        rmSync(harness.paths.outbox)
        linkSync(taken, harness.paths.outbox)
        harness.say("next")
      }),
    ).toEqual(["next"])
  })

  it("gives the lines of two copies of an empty outbox different ids", () => {
    const ids = [1, 2].map(() => {
      const harness = new OutboxHarness()
      mkdirSync(harness.paths.outboxTaken, { recursive: true })
      writeFileSync(`${harness.paths.outboxTaken}/aaaaaaaaaa.jsonl`, "")
      linkSync(`${harness.paths.outboxTaken}/aaaaaaaaaa.jsonl`, harness.paths.outbox)
      harness.sweep()
      harness.say("same place, same text")
      return harness.take()[0]?.id
    })
    expect(ids[0]).not.toBe(ids[1])
  })

  it.runIf(isRoot())("sends each line once although outbox.taken was read-only when it was emptied", () => {
    const harness = new OutboxHarness()
    harness.sweep(0)
    harness.say("a")
    expect(contents(harness.settle())).toEqual(["a"])
    harness.sweep(0)
    const makeWritable = makeReadOnly(harness.paths.outboxTaken)
    truncateSync(harness.paths.outbox, 0)
    harness.sweep(0)
    harness.say("b, which is longer than the line before")
    harness.sweep(0)
    const sent = contents(harness.settle())
    harness.sweep(0)
    makeWritable()
    harness.close()
    sent.push(...contents(harness.settle()))
    harness.sweep(0)
    harness.crash()
    sent.push(...contents(harness.settle()))
    expect(sent).toEqual(["b, which is longer than the line before"])
  })
})
