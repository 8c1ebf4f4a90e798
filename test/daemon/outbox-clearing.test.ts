import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, renameSync, statSync, writeFileSync, writeSync } from "node:fs"
import { describe, expect, it, onTestFinished } from "vitest"
import { contents, message, OutboxHarness } from "../kit/outbox-harness.js"

const line = (content: string) => `${message(content)}\n`

/** A shell that holds the outbox open and writes each line it is sent. */
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

describe("clearing the outbox", () => {
  it("waits until everything is settled and a second was quiet", () => {
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

  it("never touches a file whose last line is not whole", () => {
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

  it("reads on where a writer still holds the old file", async () => {
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

  it("tells at once of a line in the old file", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    const fd = openSync(harness.paths.outbox, "a")
    onTestFinished(() => closeSync(fd))
    harness.say("one")
    harness.settle()
    harness.sweep()
    const told = new Promise<void>((resolve) => {
      harness.onLines = resolve
    })
    writeSync(fd, line("late"))
    await told
    expect(contents(harness.outbox.take(10))).toEqual(["late"])
  })

  it("keeps the old file for as long as a process has it open, however quiet", async () => {
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

  it("reports a line that its writer left without a newline, once nobody has the file open", async () => {
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

  it("does not wait for quiet when the file has grown large", () => {
    const harness = new OutboxHarness({ limits: { clearBytes: 1_000 } })
    harness.say("x".repeat(1_000), "y")
    const [first] = harness.take()
    harness.sweep(0)
    expect(harness.size).toBe(0)
    harness.crash()
    expect(contents(harness.take())).toEqual(["x".repeat(1_000), "y"])
    expect(first).toBeDefined()
  })

  it("keeps no more than a few old files", () => {
    const harness = new OutboxHarness({ limits: { takenFiles: 3 } })
    for (let i = 0; i < 6; i++) {
      harness.say(`${i}`)
      expect(contents(harness.settle())).toEqual([`${i}`])
      harness.sweep()
    }
    expect(harness.taken).toHaveLength(4)
    expect(harness.size).toBeGreaterThan(0)
  })

  it("is finished by the next process when one dies in the middle of it", () => {
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

  it("takes in what somebody put at outbox.jsonl in the moment of clearing", () => {
    const harness = new OutboxHarness()
    harness.say("a")
    harness.settle()
    harness.close()
    // As if the rename had caught another file than the one that was looked at.
    const [name = ""] = harness.taken
    writeFileSync(`${harness.paths.outboxTaken}/${name.replace(".jsonl", ".out")}`, line("foreign"))
    expect(contents(harness.settle())).toEqual(["foreign"])
  })
})
