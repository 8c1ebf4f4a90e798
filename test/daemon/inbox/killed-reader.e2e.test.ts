import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { until } from "../../kit/condition.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"
import { programPath } from "../../kit/program.js"

/** More lines than fit into a pipe and into what this process reads ahead, so that the reader blocks in the middle. */
const big = "x".repeat(4_000)
const count = 200

describe("a reader killed between taking and acknowledging", { timeout: 120_000 }, () => {
  /** Runs `agentchat inbox --reader me` on the inbox. */
  const args = (harness: InboxHarness, ...more: string[]) => {
    const home = join(harness.paths.dir, "../..")
    return [programPath, "inbox", "--reader", "me", "--name", "a", "--json", "--home", home, ...more]
  }
  const take = (harness: InboxHarness) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args(harness), { encoding: "utf8" })
    if (status !== 0) throw new Error(`exit ${String(status)}: ${stderr}`)
    const lines = stdout.split("\n").filter((line) => line !== "")
    return lines.map((line) => (JSON.parse(line) as { n: number }).n)
  }
  const kill = async (child: ChildProcess) => {
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  }
  const cursorOf = ({ paths }: InboxHarness) => join(paths.cursors, "me.json")

  it("gets exactly the unacknowledged lines again", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 2)
    await until("the lines", () => harness.durable.length === 2)
    expect(take(harness)).toEqual([1, 2])
    harness.send(inbox, count, big)
    await until("more lines", () => harness.durable.length === 2 + count)
    const child = spawn(process.execPath, args(harness), { stdio: ["ignore", "pipe", "inherit"] })
    onTestFinished(() => void child.kill("SIGKILL"))
    // It printed the first lines, and cannot print the last while nobody reads the pipe.
    await once(child.stdout, "readable")
    expect(String(child.stdout.read(8))).toContain("seq")
    await kill(child)
    expect(readFileSync(cursorOf(harness), "utf8")).toBe('{"v":1,"seq":2}\n')
    expect(take(harness)).toEqual(range(3, 2 + count))
    expect(take(harness)).toEqual([])
  })

  it("gets unacknowledged lines again with --follow", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, count, big)
    await until("the lines", () => harness.durable.length === count)
    const child = spawn(process.execPath, args(harness, "--follow"), { stdio: ["ignore", "pipe", "inherit"] })
    onTestFinished(() => void child.kill("SIGKILL"))
    await once(child.stdout, "readable")
    await kill(child)
    expect(existsSync(cursorOf(harness))).toBe(false)
    expect(take(harness)).toEqual(range(1, count))
    expect(take(harness)).toEqual([])
  })
})
