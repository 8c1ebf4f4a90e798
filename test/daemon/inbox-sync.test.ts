import * as fs from "node:fs"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it, vi } from "vitest"
import { until } from "../kit/condition.js"
import { InboxRoom, range } from "../kit/inbox-room.js"

// No disk can be told to fail an fdatasync, so the call is.
vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>()
  return { ...real, fdatasync: vi.fn(real.fdatasync) }
})

describe("an inbox whose disk fails to sync", () => {
  it("trusts nothing of that file, and makes its lines safe in a segment", async () => {
    const room = new InboxRoom()
    const inbox = room.open({ graceMs: 100 })
    room.send(inbox, 3)
    await until("they are confirmed", () => room.durable.length === 3)
    // Linux forgets what it could not write: a second try would report success for nothing.
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
