import * as fs from "node:fs"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it, vi } from "vitest"
import { until } from "../kit/condition.js"
import { InboxRoom, range } from "../kit/inbox-room.js"

// No disk fails fdatasync on request, so the call is replaced.
vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>()
  return { ...real, fdatasync: vi.fn(real.fdatasync) }
})

describe("an inbox whose disk fails to sync", () => {
  it("stops trusting the file and saves its lines to a segment", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ graceMs: 100 })
    room.send(inbox, 3)
    await until("they are confirmed", () => room.durable.length === 3)
    // Linux drops pages it could not write: a second fdatasync would report success.
    const eio = Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" })
    vi.mocked(fs.fdatasync).mockImplementationOnce((_fd, done) => {
      setImmediate(done, eio)
    })
    room.send(inbox, 3)
    await until("the problem", () => room.problems.length === 1)
    expect(room.problems[0]).toMatchObject({
      code: "FILE_FAILED",
      message: "inbox.jsonl: the disk reports an error (EIO)",
    })
    room.send(inbox, 3)
    await turn()
    expect(room.durable).toHaveLength(3)
    await until("all are confirmed", () => room.durable.length === 9)
    expect(room.durable).toEqual(range(1, 9).map((n) => `x.${n}`))
    expect(room.segments).toEqual(["0000000001-0000000006.jsonl"])
    expect(room.messages).toEqual(range(1, 9))
    expect(room.problems).toEqual([expect.anything(), undefined])
  })
})
