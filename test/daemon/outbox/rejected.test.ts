import { createHash } from "node:crypto"
import { appendFileSync, readdirSync, truncateSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ChatError } from "../../../src/protocol/errors.js"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex")
const megabyte = 1024 * 1024

/** Sweeps until rejected.jsonl has `count` lines, and takes the rest. */
async function settleUntilRejected(harness: OutboxHarness, count: number): Promise<string[]> {
  const taken: string[] = []
  await expect
    .poll(() => {
      taken.push(...contents(harness.settle()))
      return harness.entries.length
    })
    .toBe(count)
  return taken
}

describe("a line that cannot be sent", () => {
  it("is recorded in rejected.jsonl with the reason and a hint, and does not stop the next one", () => {
    const harness = new OutboxHarness()
    harness.say("before")
    harness.append('{"to":"general","content":"x","id":"mine"}\n')
    harness.say("after")
    expect(contents(harness.settle())).toEqual(["before", "after"])
    const line = '{"to":"general","content":"x","id":"mine"}'
    expect(harness.entries).toEqual([
      {
        id: "mine",
        at: expect.stringMatching(/^[0-9a-z]{10}\.[0-9a-z]+\.3cd40$/),
        line_sha256: sha256(line),
        line,
        code: "INVALID_MSG",
        reason: 'to: "general" is neither a #channel nor an @agent nor a +role',
        hint: 'did you mean "#general"?',
        ts: expect.any(Number),
      },
    ])
    expect(harness.rejected).toMatchObject([
      { id: "mine", sha256: sha256(line), error: { code: "INVALID_MSG" } },
    ])
    expect(harness.outbox.pending).toBe(0)
  })

  it("gets a hint whose command works in every directory", () => {
    const harness = new OutboxHarness()
    harness.append('nonsense\n{"to":"#general"}\n{"type":"ACCEPT"}\n')
    harness.settle()
    const hints = harness.entries.map((entry) => String((entry as { hint?: unknown }).hint))
    expect(hints.filter((hint) => hint.endsWith(` >> ${harness.paths.outbox}`))).toHaveLength(3)
    expect(harness.rejected.map(({ error }) => error.hint)).toEqual(hints)
  })

  it("is recorded even when no lines are taken", () => {
    const harness = new OutboxHarness()
    harness.say("waits")
    harness.append("nonsense\n")
    harness.sweep()
    expect(harness.rejected).toHaveLength(1)
  })

  it("is recorded once, even after crashes", () => {
    const harness = new OutboxHarness()
    harness.say("held")
    harness.append("nonsense\n")
    for (let i = 0; i < 3; i++) {
      expect(contents(harness.take())).toEqual(["held"])
      harness.crash()
    }
    expect(harness.entries).toHaveLength(1)
    // Reported each time under the same `at`, by which the inbox recognizes the repeat.
    expect(new Set(harness.rejected.map(({ at }) => at)).size).toBe(1)
  })

  it("is recorded as often as it was written", () => {
    const harness = new OutboxHarness()
    harness.append("nonsense\nnonsense\n")
    harness.settle()
    expect(harness.entries).toHaveLength(2)
  })

  it("is kept unchanged if it is in another encoding", () => {
    const harness = new OutboxHarness()
    const latin1 = Buffer.from(message("käse"), "latin1")
    harness.append(Buffer.concat([latin1, Buffer.from("\n"), Buffer.from(`${message("käse")}\n`)]))
    expect(contents(harness.settle())).toEqual(["käse"])
    const [entry] = harness.entries
    expect(entry).toMatchObject({
      file: expect.stringMatching(/^rejected\.d\//),
      line_sha256: sha256(latin1),
    })
    if (entry !== undefined) expect(harness.kept(entry)).toEqual(latin1)
  })

  it("does not hide the next line if it contains NUL bytes", () => {
    const harness = new OutboxHarness()
    harness.append(`x\0y\n${message("b")}\n`)
    expect(contents(harness.settle())).toEqual(["b"])
    expect(harness.entries).toMatchObject([{ line: "x\0y" }])
  })

  it("is kept whole in rejected.d if it has 1 MB or 10 MB, and small lines are sent", async () => {
    const harness = new OutboxHarness()
    const large = [1, 10].map((size) => message("x".repeat(size * megabyte)))
    harness.append(`${message("a")}\n${large[0]}\n${message("b")}\r\n${large[1]}\n${message("c")}\n`)
    expect(await settleUntilRejected(harness, 2)).toEqual(["a", "b", "c"])
    for (const [index, entry] of harness.entries.entries()) {
      expect(entry).toMatchObject({
        line_sha256: sha256(large[index] ?? ""),
        id: entry.at,
        code: "INVALID_MSG",
      })
      expect(entry.reason).toBe(`the line has ${large[index]?.length ?? 0} bytes, a message at most 262144`)
      expect(harness.kept(entry).equals(Buffer.from(large[index] ?? ""))).toBe(true)
    }
    expect(readdirSync(harness.paths.rejectedDir)).toHaveLength(2)
    expect(harness.outbox.pending).toBe(0)
  })

  it("needs little memory, however long it is", async () => {
    const harness = new OutboxHarness()
    harness.sweep()
    for (let i = 0; i < 64; i++) harness.append(Buffer.alloc(megabyte, 0x78))
    harness.append("\n")
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    harness.onLines = () => {}
    await expect
      .poll(
        () => {
          harness.settle()
          most = Math.max(most, process.memoryUsage().arrayBuffers - before)
          return harness.entries.length
        },
        { interval: 1, timeout: 30_000 },
      )
      .toBe(1)
    expect(most).toBeLessThan(16 * megabyte)
  })

  it("is rejected when its frame would be too large", () => {
    const harness = new OutboxHarness({ limits: { lineBytes: 1_000 } })
    const line = message("x".repeat(1_000 - message("").length))
    harness.append(`${line}\n${message("ok")}\n`)
    expect(contents(harness.settle())).toEqual(["ok"])
    expect(harness.entries[0]?.reason).toMatch(/^its frame has 10\d\d bytes, a message at most 1000$/)
  })

  it("is recorded with its text when the relay refuses it", () => {
    const harness = new OutboxHarness()
    harness.append(`${message("secret", { to: "#hidden" })}\r\n`)
    const [line] = harness.take()
    if (line === undefined) throw new Error("no line")
    harness.outbox.rejectLine(
      line,
      new ChatError("CHANNEL_NOT_FOUND", "no #hidden", { candidates: ["#hid"] }),
    )
    expect(harness.entries).toMatchObject([
      {
        line: message("secret", { to: "#hidden" }),
        code: "CHANNEL_NOT_FOUND",
        candidates: ["#hid"],
        line_sha256: line.sha256,
      },
    ])
    // The caller of rejectLine reports it.
    expect(harness.rejected).toEqual([])
    expect(harness.outbox.pending).toBe(0)
    harness.outbox.release()
    expect(harness.take()).toEqual([])
  })

  it("is recorded after a partial line of a crash, and after a line of a user", () => {
    const harness = new OutboxHarness()
    appendFileSync(harness.paths.rejected, 'a note of mine\n{"id":"x","at":"to')
    harness.append("nonsense\n")
    harness.settle()
    truncateSync(harness.paths.rejected, 0)
    harness.append("nonsense again\n")
    harness.settle()
    expect(harness.entries).toMatchObject([{ line: "nonsense again" }])
  })
})
