import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, renameSync, statSync, writeFileSync, writeSync } from "node:fs"
import { describe, expect, it, onTestFinished } from "vitest"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"

const line = (content: string) => `${message(content)}\n`

/** Starts a shell that has the outbox open and appends each line it is sent. */
async function holdingShell(
  harness: OutboxHarness,
): Promise<ChildProcess & { say(content: string): Promise<void> }> {
  const script = `exec 3>>"$0"; echo ready; while read -r line; do printf '%s\\n' "$line" >&3; echo done; done`
  const shell = spawn("sh", ["-c", script, harness.paths.outbox], { stdio: ["pipe", "pipe", "inherit"] })
  onTestFinished(() => void shell.kill("SIGKILL"))
  await once(shell.stdout, "data")
  const say = async (content: string) => {
    shell.stdin.write(line(content))
    await once(shell.stdout, "data")
  }
  return Object.assign(shell, { say })
}

describe("moving a sent outbox away", () => {
  it("waits until everything is settled and nothing was written for a second", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    const [taken] = harness.take()
    harness.sweep(5_000)
    expect(harness.size).toBeGreaterThan(0)
    taken?.settle()
    harness.say("b")
    harness.settle()
    harness.sweep(900)
    expect(harness.size).toBeGreaterThan(0)
    harness.sweep(100)
    expect(harness.size).toBe(0)
  })

  it("leaves a file alone while its last line is incomplete", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.append('{"to":"#general",')
    harness.settle()
    const { ino } = statSync(harness.paths.outbox)
    harness.sweep(3_600_000)
    expect(statSync(harness.paths.outbox).ino).toBe(ino)
    harness.append('"content":"b"}\n')
    expect(contents(harness.settle())).toEqual(["b"])
    harness.sweep()
    expect(harness.size).toBe(0)
  })

  it("reads lines that a writer appends to the moved file", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const shell = await holdingShell(harness)
    await shell.say("one")
    expect(contents(harness.settle())).toEqual(["one"])
    harness.sweep()
    expect(harness.size).toBe(0)
    await shell.say("two")
    harness.say("new file")
    // The older file comes first.
    expect(contents(harness.settle())).toEqual(["two", "new file"])
  })

  it("reports a line in the moved file at once", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const fd = openSync(harness.paths.outbox, "a")
    onTestFinished(() => closeSync(fd))
    harness.say("one")
    harness.settle()
    harness.sweep()
    const reported = new Promise<void>((resolve) => {
      harness.onLines = resolve
    })
    writeSync(fd, line("late"))
    await reported
    expect(contents(harness.outbox.take(10))).toEqual(["late"])
  })

  it("keeps the moved file while a process has it open, however long that is", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const shell = await holdingShell(harness)
    await shell.say("one")
    harness.settle()
    harness.sweep()
    expect(harness.taken).toHaveLength(2)
    harness.sweep(600_000)
    await harness.lookedForHolders()
    expect(harness.taken).toHaveLength(2)
    await shell.say("two")
    expect(contents(harness.settle())).toEqual(["two"])

    shell.stdin?.end()
    await once(shell, "exit")
    await expect
      .poll(() => {
        harness.sweep(600_000)
        return harness.taken.length
      })
      .toBe(1)
  })

  it("rejects a line without a newline once no process has the file open", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const fd = openSync(harness.paths.outbox, "a")
    writeSync(fd, line("one"))
    harness.settle()
    harness.sweep()
    writeSync(fd, '{"to":"#general","content":"hal')
    closeSync(fd)
    await expect
      .poll(() => {
        harness.sweep(600_000)
        return harness.taken.length
      })
      .toBe(1)
    expect(harness.rejected).toHaveLength(1)
    expect(harness.entries).toMatchObject([
      {
        line: '{"to":"#general","content":"hal',
        reason: "the line has no newline, and no process has the file open",
        hint: "append the whole line again, with a newline at its end",
      },
    ])
  })

  it("does not wait when the file is large", () => {
    const harness = new OutboxHarness({ limits: { clearBytes: 1_000 } })
    harness.say("x".repeat(1_000), "y")
    const [first] = harness.take()
    harness.sweep(0)
    expect(harness.size).toBe(0)
    harness.crash()
    expect(contents(harness.take())).toEqual(["x".repeat(1_000), "y"])
    expect(first).toBeDefined()
  })

  it("keeps at most limits.takenFiles moved files", () => {
    const harness = new OutboxHarness({ limits: { takenFiles: 3 } })
    for (let i = 0; i < 6; i++) {
      harness.say(`${i}`)
      expect(contents(harness.settle())).toEqual([`${i}`])
      harness.sweep()
    }
    expect(harness.taken).toHaveLength(4)
    expect(harness.size).toBeGreaterThan(0)
  })

  it("is completed by the next process after a crash in the middle", () => {
    const harness = new OutboxHarness()
    harness.say("a", "b")
    harness.settle()[0]?.settle()
    harness.close()
    const [name = ""] = harness.taken
    const aside = `${harness.paths.outboxTaken}/${name.replace(".jsonl", ".out")}`
    renameSync(harness.paths.outbox, aside)
    harness.say("new")
    expect(contents(harness.settle())).toEqual(["new"])
    expect(harness.taken).toHaveLength(2)
  })

  it("reads a file that replaced outbox.jsonl just before the move", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.settle()
    harness.close()
    // As if another program had replaced the file just before the rename.
    const [name = ""] = harness.taken
    writeFileSync(`${harness.paths.outboxTaken}/${name.replace(".jsonl", ".out")}`, line("foreign"))
    expect(contents(harness.settle())).toEqual(["foreign"])
  })
})
