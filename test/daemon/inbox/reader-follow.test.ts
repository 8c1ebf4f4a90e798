import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { followInbox } from "../../../src/daemon/inbox/reader.js"
import { until } from "../../kit/condition.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"

const quick = { lines: 20, graceMs: 60, busyMs: 150 }

/** Follows the inbox of a harness and collects its entries. */
function follow(harness: InboxHarness, afterSeq: number) {
  const stop = new AbortController()
  const seen: number[] = []
  const damaged: string[] = []
  const run = async () => {
    const options = {
      clock: systemClock,
      signal: stop.signal,
      onDamaged: (text: string) => damaged.push(text),
    }
    for await (const { seq } of followInbox(harness.paths, afterSeq, options)) seen.push(seq)
  }
  const ended = run()
  onTestFinished(async () => {
    stop.abort()
    await ended
  })
  return { seen, damaged, stop, ended }
}

describe("followInbox", () => {
  it("starts after the given line and yields each new line at once", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open()
    harness.send(inbox, 5)
    await until("they are written", () => inbox.lastSeq === 5)
    const { seen } = follow(harness, 3)
    await until("the rest", () => seen.length === 2)
    harness.send(inbox, 1)
    await until("the new line", () => seen.length === 3)
    expect(seen).toEqual([4, 5, 6])
  })

  it("yields every line once while the file is rotated many times", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open(quick)
    const { seen } = follow(harness, 0)
    for (let i = 0; i < 60; i++) {
      harness.send(inbox, 1 + ((i * 7) % 15), "x".repeat((i * 61) % 500))
      await sleep(i % 6 === 5 ? 90 : 5)
    }
    await until("all is written", () => inbox.heldBytes === 0 && harness.durable.length > 0)
    await until("all is seen", () => seen.at(-1) === inbox.lastSeq)
    expect(seen).toEqual(range(1, inbox.lastSeq))
    expect(harness.segments.length).toBeGreaterThan(4)
  })

  it("waits for an inbox that does not exist yet", async () => {
    const harness = new InboxHarness()
    const { seen } = follow(harness, 0)
    await sleep(50)
    harness.send(harness.open(), 3)
    await until("its lines", () => seen.length === 3)
  })

  it("continues after the file was deleted and the daemon restarted", async () => {
    const harness = new InboxHarness()
    const first = harness.open()
    const { seen } = follow(harness, 0)
    harness.send(first, 3)
    await until("the first lines", () => seen.length === 3)
    rmSync(harness.paths.inbox)
    harness.send(first, 2)
    await until("the lines after", () => seen.length === 6)
    await first.close()
    harness.send(harness.open(), 2)
    await until("the lines of the next one", () => seen.length === 8)
    expect(seen).toEqual(range(1, 8))
  })

  it("ends when its signal is aborted, asleep or not", async () => {
    const harness = new InboxHarness()
    harness.send(harness.open(), 3)
    const { seen, stop, ended } = follow(harness, 0)
    await until("the lines", () => seen.length === 3)
    stop.abort()
    await ended
    const late = follow(harness, 0)
    late.stop.abort()
    await late.ended
  })
})
