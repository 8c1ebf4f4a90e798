import { execFile, spawnSync } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import type { Inbox } from "../../../src/daemon/inbox/inbox.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, parseLines, range } from "../../kit/inbox-harness.js"
import { isLong } from "../../kit/long.js"
import { hasProgram } from "../../kit/requires.js"
import { Tail } from "../../kit/tail.js"

const run = promisify(execFile)

// A `tail -f` started once prints every line exactly once, over any number of rotations (doc/files.md).
describe.runIf(hasProgram("tail"))("tail -f inbox.jsonl", () => {
  const quick = { lines: 50, graceMs: 250, busyMs: 600 }

  /** Sends bursts and single lines with short pauses, and waits for a rotation after each round. */
  async function sendUnevenly(harness: InboxHarness, inbox: Inbox, total: number): Promise<void> {
    const bursts = [1, 120, 3, 60, 1, 1, 200, 40]
    const pauses = [0, 30, 0, 100, 10, 0, 0]
    for (let sent = 0, turn = 0; sent < total; turn++) {
      const count = Math.min(bursts[turn % bursts.length] ?? 1, total - sent)
      harness.send(inbox, count, "x".repeat((turn * 37) % 400))
      sent += count
      if (turn % bursts.length < pauses.length) await sleep(pauses[turn % bursts.length])
      else await until("a rotation", () => inbox.lines < quick.lines)
    }
  }

  /** @param maxLines - the file is complete once it has fewer lines */
  async function expectAllOnce(
    harness: InboxHarness,
    inbox: Inbox,
    tail: Tail,
    total: number,
    maxLines = quick.lines,
  ): Promise<void> {
    await until("the file is at rest", () => inbox.heldBytes === 0 && inbox.lines < maxLines)
    await tail.reaches(inbox.lastSeq)
    expect(tail.lines.map(({ seq }) => seq)).toEqual(range(1, inbox.lastSeq))
    expect(tail.lines.flatMap(({ n }) => n ?? [])).toEqual(range(1, total))
    expect(tail.lines.filter(({ type }) => type === "INBOX_ROTATED")).toHaveLength(harness.segments.length)
  }

  it("prints each of 2,500 lines once over many rotations", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 1)
    const tail = await Tail.follow(harness.paths.inbox)
    await sendUnevenly(harness, inbox, 2_499)
    await expectAllOnce(harness, inbox, tail, 2_500)
    expect(harness.segments.length).toBeGreaterThanOrEqual(5)
    expect(tail.truncations).toBe(harness.segments.length)
  })

  it("prints each line once when it polls instead of using inotify", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 400 })
    harness.send(inbox, 1)
    const tail = await Tail.follow(harness.paths.inbox, "---disable-inotify", "-s", "0.1")
    await sendUnevenly(harness, inbox, 1_499)
    await expectAllOnce(harness, inbox, tail, 1_500)
    expect(tail.truncations).toBe(harness.segments.length)
  })

  it("prints each line of a stream that never pauses once", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    harness.send(inbox, 1)
    const tail = await Tail.follow(harness.paths.inbox)
    const end = performance.now() + 2_500
    let total = 1
    for (; performance.now() < end; total++) {
      harness.send(inbox, 1)
      await sleep(2)
    }
    await expectAllOnce(harness, inbox, tail, total)
    expect(harness.segments.length).toBeGreaterThan(2)
  })

  it("prints each line once when a burst follows a rotation at once", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ ...quick, graceMs: 700 })
    harness.send(inbox, 60)
    const tail = await Tail.follow(harness.paths.inbox, "---disable-inotify", "-s", "0.3")
    await until("the file is emptied", () => harness.segments.length === 1 && inbox.lines < 60)
    // More lines than before: tail must see the small file before it grows beyond its former size.
    harness.send(inbox, 500)
    await expectAllOnce(harness, inbox, tail, 560)
  })

  it("prints each line once with the default limits and polling interval", { timeout: 30_000 }, async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 1)
    const [notified, polling] = await Promise.all([
      Tail.follow(harness.paths.inbox),
      Tail.follow(harness.paths.inbox, "---disable-inotify"),
    ])
    harness.send(inbox, 2_499)
    await until("the first rotation", () => harness.segments.length === 1)
    for (let turn = 0; turn < 40; turn++) {
      harness.send(inbox, 50)
      await sleep(25)
    }
    await until("the second rotation", () => harness.segments.length === 2)
    harness.send(inbox, 500)
    await expectAllOnce(harness, inbox, notified, 5_000, 1_000)
    await expectAllOnce(harness, inbox, polling, 5_000, 1_000)
  })
})

describe.runIf(hasProgram("tail"))("tail -10 inbox.jsonl", () => {
  it("shows whole lines during a flood", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ lines: 500, graceMs: 20, busyMs: 100 })
    let isOver = false
    const flood = async () => {
      for (let turn = 0; !isOver; turn++) {
        harness.send(inbox, 20, "x".repeat((turn * 31) % 300))
        await sleep(1)
      }
    }
    const look = async () => {
      for (let i = 0; i < (isLong ? 150 : 40) || harness.segments.length < 3; i++) {
        parseLines((await run("tail", ["-10", harness.paths.inbox])).stdout)
      }
    }
    await Promise.all([flood(), look().finally(() => (isOver = true))])
  })

  it.runIf(hasProgram("jq"))("is valid JSON for jq", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 300, 'a "quote", a \\ and a\nnewline')
    await until("all durable", () => harness.durable.length === 300)
    const { stdout, status } = spawnSync("jq", ["-r", ".n", harness.paths.inbox], { encoding: "utf8" })
    expect(status).toBe(0)
    expect(stdout.trim().split("\n").map(Number)).toEqual(range(1, 300))
  })
})
