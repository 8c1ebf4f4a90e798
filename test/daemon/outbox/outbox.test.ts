import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

describe("an outbox", () => {
  it("creates a directory and an empty file that only its owner can read", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const { size, mode } = statSync(harness.paths.outbox)
    expect([size, mode & 0o777]).toEqual([0, 0o600])
    expect(statSync(harness.paths.outboxDrop).mode & 0o777).toBe(0o700)
    expect(harness.problems).toEqual([])
  })

  it("hands out each line once, in order, under a unique id", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("one", "two", "three")
    const lines = harness.take()
    expect(contents(lines)).toEqual(["one", "two", "three"])
    expect(new Set(lines.map(({ id }) => id)).size).toBe(3)
    expect(lines[0]?.sha256).toBe(sha256(message("one")))
    expect(harness.take()).toEqual([])
    expect(harness.outbox.pending).toBe(3)
    for (const line of lines) line.settle()
    expect(harness.outbox.pending).toBe(0)
  })

  it("hands out what was written before it was opened", () => {
    const harness = new OutboxHarness()
    harness.say("early")
    expect(contents(harness.take())).toEqual(["early"])
  })

  it("uses a line's own id", () => {
    const harness = new OutboxHarness()
    harness.append(`${message("x", { id: "job-7" })}\n`)
    expect(harness.take()[0]).toMatchObject({ id: "job-7" })
  })

  it("hands out no more lines than asked for", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b", "c")
    expect(contents(harness.take(2))).toEqual(["a", "b"])
    expect(contents(harness.outbox.take(2))).toEqual(["c"])
  })

  it("hands out a line only once its newline is written, wherever it was cut", () => {
    const harness = new OutboxHarness()
    const line = Buffer.from(`${message("käse 😀")}\n`)
    harness.sweep()
    for (const byte of line.subarray(0, -1)) {
      harness.append(Buffer.from([byte]))
      expect(harness.take()).toEqual([])
    }
    harness.sweep(60_000)
    harness.append("\n")
    expect(contents(harness.take())).toEqual(["käse 😀"])
    expect(harness.entries).toEqual([])
  })

  it("skips blank lines and takes CRLF for a line ending", () => {
    const harness = new OutboxHarness()
    harness.append(`\n  \t\r\n\r\n${message("x")}\r\n\n`)
    const lines = harness.take()
    expect(contents(lines)).toEqual(["x"])
    expect(lines[0]?.sha256).toBe(sha256(message("x")))
    expect(harness.entries).toEqual([])
  })

  it("hands out a line apart from the one before it that has no newline", () => {
    const harness = new OutboxHarness()
    harness.append(message("{one} \\"))
    harness.append(`  ${message("two")}${message("three")}\n${message("four")}\n`)
    const lines = harness.take()
    expect(contents(lines)).toEqual(["{one} \\", "two", "three", "four"])
    expect(new Set(lines.map(({ id }) => id)).size).toBe(4)
    for (const line of lines.slice(0, 1)) line.settle()
    harness.close()
    expect(harness.settle().map(({ id }) => id)).toEqual(lines.slice(1).map(({ id }) => id))
    harness.append(`${message("five")}{"to":"general"}\n`)
    expect(contents(harness.settle())).toEqual(["five"])
    expect(harness.entries.map(({ line }) => line)).toEqual(['{"to":"general"}'])
  })

  it("reports a line without a newline after a second, until it is ended", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.append(message("torn"))
    harness.sweep()
    const noticed = harness.clock.now()
    expect(harness.outbox.unfinished).toBeUndefined()
    harness.sweep()
    harness.sweep()
    expect(harness.outbox.unfinished).toMatchObject({ bytes: message("torn").length, sinceMs: noticed })
    harness.append("\n")
    harness.sweep()
    expect(harness.outbox.unfinished).toBeUndefined()
    expect(contents(harness.take())).toEqual(["torn"])
  })

  it("rejects a line in UTF-16, and hands out the next one", () => {
    for (const bom of ["", "\ufeff"]) {
      const harness = new OutboxHarness()
      harness.append(Buffer.from(`${bom}${message("sixteen")}\n`, "utf16le"))
      harness.append(Buffer.from(`${bom}${message("sixteen")}\n`, "utf16le").swap16())
      harness.say("eight")
      expect(contents(harness.settle())).toEqual(["eight"])
      expect(harness.entries.map(({ reason, hint }) => [reason, hint])).toEqual(
        Array.from({ length: 2 }, () => [
          "the line has NUL bytes, as text in UTF-16 has",
          "write it as UTF-8 (iconv -f utf-16 -t utf-8)",
        ]),
      )
    }
  })

  it("skips a hole of NUL bytes before a line or in one, however long it is", () => {
    const harness = new OutboxHarness()
    harness.append(Buffer.alloc(600_000))
    harness.say("after a hole")
    harness.append('{"to":"#gen')
    harness.append(Buffer.alloc(40))
    harness.say("after a torn line")
    harness.append(Buffer.alloc(9))
    harness.append("\n")
    harness.say("last")
    expect(contents(harness.settle())).toEqual(["after a hole", "after a torn line", "last"])
    expect(harness.entries.map(({ line }) => line)).toEqual(['{"to":"#gen'])
  })

  it("takes requests of outbox.d before messages that wait", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("waits")
    harness.drop("1.json", message("a message"))
    harness.drop("2.json", '{"type":"LIST_AGENTS"}')
    harness.sweep()
    expect(contents(harness.outbox.takeOvertaking())).toEqual(["LIST_AGENTS"])
    expect(contents(harness.outbox.takeOvertaking())).toEqual([])
    expect(contents(harness.take()).sort()).toEqual(["a message", "waits"])
    harness.outbox.release()
    expect(contents(harness.settle()).sort()).toEqual(["LIST_AGENTS", "a message", "waits"])
    expect(harness.outbox.pending).toBe(0)
  })

  it("hands out unsettled lines again after release, in order and under the same ids", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b", "c", "d", "e")
    const lines = harness.take(4)
    lines[1]?.settle()
    harness.outbox.release()
    lines[2]?.settle()
    const again = harness.take()
    expect(contents(again)).toEqual(["a", "d", "e"])
    expect(again[0]?.id).toBe(lines[0]?.id)
  })

  it("reports a line at once, without a sweep", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const reported = new Promise<void>((resolve) => {
      harness.onLines = resolve
    })
    harness.say("now")
    await reported
    expect(contents(harness.outbox.take(10))).toEqual(["now"])
  })

  it("reads only limits.readAheadBytes ahead while no lines are taken", () => {
    const harness = new OutboxHarness({ limits: { readAheadBytes: 1_000 } })
    harness.say(...Array.from({ length: 500 }, (_, i) => `line ${i}`))
    harness.sweep()
    expect(harness.outbox.pending).toBeLessThan(40)
    expect(contents(harness.take())).toEqual(Array.from({ length: 500 }, (_, i) => `line ${i}`))
  })

  it("takes lines from outbox.jsonl and outbox.d in turns", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say(...Array.from({ length: 300 }, () => "flood"))
    harness.drop("one.json", message("dropped"))
    const lines = contents(harness.take())
    expect(lines).toHaveLength(301)
    expect(lines.indexOf("dropped")).toBeLessThan(70)
  })
})

describe("an outbox over restarts", () => {
  it("hands out unsettled lines again under the same ids, and no settled one", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b", "c")
    const lines = harness.take()
    lines[0]?.settle()
    lines[2]?.settle()
    harness.close()
    harness.say("d")
    const again = harness.take()
    // The second is not settled, so the cursor is before it.
    expect(contents(again)).toEqual(["b", "c", "d"])
    expect(again.slice(0, 2).map(({ id }) => id)).toEqual([lines[1]?.id, lines[2]?.id])
  })

  it("uses the same ids after a crash before anything was saved", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b")
    const ids = harness.settle().map(({ id }) => id)
    harness.crash()
    const again = harness.settle()
    expect(contents(again)).toEqual(["a", "b"])
    expect(again.map(({ id }) => id)).toEqual(ids)
    harness.sweep(50)
    harness.crash()
    expect(harness.take()).toEqual([])
  })

  for (const end of ["stop", "crash"] as const) {
    it(`uses the same ids after a crash if it started with an empty file after a ${end}`, () => {
      const harness = new OutboxHarness()
      harness.say("earlier")
      harness.settle()
      harness.sweep(2_000)
      harness.sweep(50)
      expect(harness.size).toBe(0)
      if (end === "stop") harness.close()
      else harness.crash()
      harness.sweep()
      harness.say("a", "b")
      const ids = harness.settle().map(({ id }) => id)
      harness.crash()
      const again = harness.take()
      expect(contents(again)).toEqual(["a", "b"])
      expect(again.map(({ id }) => id)).toEqual(ids)
    })
  }

  it("uses the same ids after a crash right after the file was emptied in place", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.outbox.close()
    harness.crash()
    harness.say("old")
    harness.settle()
    harness.clock.advance(50)
    writeFileSync(harness.paths.outbox, "")
    harness.sweep(0)
    harness.say("new")
    const ids = harness.settle().map(({ id }) => id)
    harness.crash()
    expect(harness.take().map(({ id }) => id)).toEqual(ids)
  })

  it("uses other ids for the lines of a copied directory", () => {
    const harness = new OutboxHarness()
    harness.sweep()
    harness.say("before")
    harness.settle()
    harness.sweep(2_000)
    harness.close()
    const root = join(harness.paths.dir, "../..")
    const copy = temporaryDirectory()
    execFileSync("cp", ["-a", `${root}/.`, copy])
    const copied = new OutboxHarness({ root: copy })
    harness.say("one")
    copied.say("two")
    const [one] = harness.take()
    const [two] = copied.take()
    expect(contents([one, two].flatMap((line) => line ?? []))).toEqual(["one", "two"])
    expect(one?.id).not.toBe(two?.id)
  })

  it.each(["-a", "-r"])(
    "sends no line again that was sent before its directory was copied with cp %s",
    (option) => {
      const harness = new OutboxHarness()
      harness.say("sent", "sent too")
      harness.settle()
      harness.say("waits")
      harness.take()
      harness.clock.advance(50)
      harness.close()
      const copy = temporaryDirectory()
      execFileSync("cp", [option, `${join(harness.paths.dir, "../..")}/.`, copy])
      const ids = harness.take().map(({ id }) => id)
      const copied = new OutboxHarness({ root: copy })
      const lines = copied.take()
      expect(contents(lines)).toEqual(["waits"])
      expect(lines.map(({ id }) => id)).toEqual(ids)
      copied.settle()
      copied.say("new")
      expect(contents(copied.take())).toEqual(["new"])
      copied.crash()
      expect(contents(copied.take()).sort()).toEqual(["new", "waits"])
    },
  )

  it("saves progress within 50 ms", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b")
    harness.settle()
    harness.clock.advance(50)
    harness.crash()
    expect(harness.take()).toEqual([])
  })

  it("pauses when limits.windowLines lines are unsaved, and continues when they are saved", async () => {
    const harness = new OutboxHarness({ limits: { windowLines: 10 } })
    harness.say(...Array.from({ length: 25 }, (_, i) => `${i}`))
    const first = harness.take()
    expect(first).toHaveLength(10)
    for (const line of first.slice(1)) line.settle()
    harness.sweep()
    // The cursor cannot pass the first line.
    expect(harness.take()).toHaveLength(0)
    first[0]?.settle()
    harness.clock.advance(50)
    const callsBefore = harness.calls
    await expect.poll(() => harness.calls).toBeGreaterThan(callsBefore)
    expect(contents(harness.take())).toEqual(Array.from({ length: 10 }, (_, i) => `${i + 10}`))
  })

  it("begins at the first line when the cursor file is damaged, under the same ids", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    const [line] = harness.settle()
    harness.close()
    harness.append("{ damaged", harness.paths.outboxCursor)
    expect(harness.take().map(({ id }) => id)).toEqual([line?.id])
  })
})
