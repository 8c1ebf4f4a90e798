import * as fs from "node:fs"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it, vi } from "vitest"
import { until } from "../../kit/condition.js"
import { InboxHarness, range } from "../../kit/inbox-harness.js"

// No disk fails fdatasync on request, so the call is replaced.
vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>()
  return { ...real, fdatasync: vi.fn(real.fdatasync) }
})

describe("an inbox whose disk fails to sync", () => {
  it("stops trusting the file and saves its lines to a segment", async () => {
    const harness = new InboxHarness()
    const inbox = harness.open({ graceMs: 100 })
    harness.send(inbox, 3)
    await until("they are confirmed", () => harness.durable.length === 3)
    // Linux drops pages it could not write: a second fdatasync would report success.
    const eio = Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" })
    vi.mocked(fs.fdatasync).mockImplementationOnce((_fd, done) => {
      setImmediate(done, eio)
    })
    harness.send(inbox, 3)
    await until("the problem", () => harness.problems.length === 1)
    expect(harness.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      message: "inbox.jsonl: the disk reports an error (EIO)",
    })
    harness.send(inbox, 3)
    await turn()
    expect(harness.durable).toHaveLength(3)
    await until("all are confirmed", () => harness.durable.length === 9)
    expect(harness.durable).toEqual(range(1, 9).map((n) => `x.${n}`))
    expect(harness.segments).toEqual(["0000000001-0000000006.jsonl"])
    expect(harness.messages).toEqual(range(1, 9))
    expect(harness.problems).toEqual([expect.anything(), undefined])
  })
})
