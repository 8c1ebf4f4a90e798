import { createHash } from "node:crypto"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { ChatError } from "../../../../src/protocol/errors.js"
import { contents, message, OutboxHarness } from "../../../kit/outbox-harness.js"

function openHarness(): OutboxHarness {
  const harness = new OutboxHarness()
  harness.sweep()
  return harness
}

const dropped = (harness: OutboxHarness) => readdirSync(harness.paths.outboxDrop)

describe("a file renamed into outbox.d", () => {
  it("is one message, and is removed once settled", () => {
    const harness = openHarness()
    const text = `{\n  "to": "#general",\n  "content": "spans\\nlines"\n}\n`
    harness.drop("a.json", text)
    const [line] = harness.take()
    expect(line?.frame).toMatchObject({ content: "spans\nlines" })
    expect(line?.sha256).toBe(createHash("sha256").update(text).digest("hex"))
    expect(dropped(harness)).toEqual([])
    expect(harness.outbox.pending).toBe(1)
    line?.settle()
    expect(harness.taken.filter((name) => name.startsWith("d-"))).toEqual([])
    expect(harness.outbox.pending).toBe(0)
  })

  it("is noticed at once", async () => {
    const harness = openHarness()
    await harness.isWatching()
    harness.drop("a.json", message("now"))
    await expect.poll(() => contents(harness.outbox.take(5)), { interval: 1 }).toEqual(["now"])
  })

  it("is sent in the order of names, and keeps its own id", () => {
    const harness = openHarness()
    harness.drop("2.json", message("two", { id: "second" }))
    harness.drop("1.json", message("one"))
    const lines = harness.take()
    expect(contents(lines)).toEqual(["one", "two"])
    expect(lines[1]?.id).toBe("second")
  })

  it("is ignored while its name begins with a dot or ends in .tmp", () => {
    const harness = openHarness()
    harness.drop(".a.json", message("a"))
    harness.drop("b.tmp", message("b"))
    harness.sweep(60_000)
    expect(harness.take()).toEqual([])
    expect(dropped(harness)).toHaveLength(2)
  })

  it("has the same id after a crash, and another file may have its old name meanwhile", () => {
    const harness = openHarness()
    harness.drop("message.json", message("first"))
    const [first] = harness.take()
    harness.drop("message.json", message("second"))
    const [second] = harness.take()
    expect(second?.frame).toMatchObject({ content: "second" })
    harness.crash()
    const again = harness.settle()
    expect(again.map(({ id }) => id).sort()).toEqual([first?.id, second?.id].sort())
    harness.close()
    expect(harness.take()).toEqual([])
  })

  it("is handed out again after the connection was lost", () => {
    const harness = openHarness()
    harness.drop("a.json", message("a"))
    const [line] = harness.take()
    harness.outbox.release()
    expect(harness.settle()).toEqual([line])
  })

  it("is moved to rejected.d if it is not a message", () => {
    const harness = openHarness()
    harness.drop("a.json", '{"to":"general","content":"x"}')
    harness.drop("b.json", message("fine"))
    harness.sweep(5_000)
    expect(contents(harness.settle())).toEqual(["fine"])
    const [entry] = harness.entries
    expect(entry).toMatchObject({
      hint: 'did you mean "#general"?',
      file: expect.stringMatching(/^rejected\.d\/d-/),
    })
    if (entry !== undefined) expect(harness.kept(entry).toString()).toBe('{"to":"general","content":"x"}')
    expect(harness.rejected).toMatchObject([{ at: entry?.at }])
    harness.close()
    harness.settle()
    expect(harness.entries).toHaveLength(1)
  })

  it("is moved to rejected.d if the relay refuses it", () => {
    const harness = openHarness()
    harness.drop("a.json", message("x"))
    const [line] = harness.take()
    if (line === undefined) throw new Error("no line")
    harness.outbox.rejectLine(line, new ChatError("CHANNEL_NOT_FOUND", "no such channel"))
    const [entry] = harness.entries
    if (entry !== undefined) expect(harness.kept(entry).toString()).toBe(message("x"))
    expect(harness.outbox.pending).toBe(0)
  })

  it("is rejected and kept whole if it is too large for a message", async () => {
    const harness = openHarness()
    const text = message("x".repeat(3_000_000))
    harness.drop("large.json", text)
    harness.clock.advance(5_000)
    await expect.poll(() => (harness.settle(), harness.entries.length)).toBe(1)
    const [entry] = harness.entries
    expect(entry?.line_sha256).toBe(createHash("sha256").update(text).digest("hex"))
    if (entry !== undefined) expect(harness.kept(entry).length).toBe(text.length)
    expect(harness.taken.filter((name) => name.startsWith("d-"))).toEqual([])
  })

  it("is rejected, not followed, if it is a link or a directory", () => {
    const harness = openHarness()
    writeFileSync(join(harness.paths.dir, "secret"), message("secret"))
    symlinkSync(join(harness.paths.dir, "secret"), join(harness.paths.outboxDrop, "link"))
    mkdirSync(join(harness.paths.outboxDrop, "folder"))
    expect(harness.settle()).toEqual([])
    expect(harness.entries.map(({ reason }) => reason)).toEqual([
      "it is not a plain file",
      "it is not a plain file",
    ])
    expect(dropped(harness)).toEqual([])
    expect(harness.outbox.pending).toBe(0)
  })

  it("may be written in several pieces", () => {
    const harness = openHarness()
    const path = join(harness.paths.outboxDrop, "slow.json")
    for (const piece of ["", '{"to":"#general",', '"content":"slow"']) {
      appendFileSync(path, piece)
      expect(harness.take()).toEqual([])
    }
    appendFileSync(path, "}")
    expect(contents(harness.settle())).toEqual(["slow"])
    expect(harness.entries).toEqual([])
  })

  it("causes no problem if it vanishes before it is taken", () => {
    const harness = openHarness()
    harness.drop("a.json", message("a"))
    harness.sweep()
    rmSync(join(harness.paths.outboxDrop, "a.json"))
    expect(harness.outbox.take(5)).toEqual([])
    expect(harness.problems).toEqual([])
  })

  it("waits while outbox.d is not a directory", () => {
    const harness = openHarness()
    rmSync(harness.paths.outboxDrop, { recursive: true })
    writeFileSync(harness.paths.outboxDrop, "")
    harness.sweep()
    expect(harness.problems.map((problem) => problem?.message)).toEqual(["outbox.d: is not a directory"])
    rmSync(harness.paths.outboxDrop)
    harness.sweep()
    expect(harness.problems.at(-1)).toBeUndefined()
  })

  it("is noticed in a directory that was removed and created again", () => {
    const harness = openHarness()
    rmSync(harness.paths.outboxDrop, { recursive: true })
    harness.sweep()
    expect(existsSync(harness.paths.outboxDrop)).toBe(true)
    harness.drop("a.json", message("a"))
    expect(contents(harness.settle())).toEqual(["a"])
  })
})
