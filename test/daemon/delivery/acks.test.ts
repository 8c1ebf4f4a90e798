import { appendFileSync, readFileSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type Ack, AckLog } from "../../../src/daemon/delivery/acks.js"
import type { ChatError } from "../../../src/protocol/errors.js"
import { isRoot, SmallDisk } from "../../kit/file-system.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const ack = (id: string, more: Partial<Ack> = {}): Ack => ({ id, state: "accepted", ts: 1, ...more })
const newPath = () => join(temporaryDirectory(), "acks.jsonl")
const read = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Ack)
const ids = (path: string) => read(path).map(({ id }) => id)

describe("AckLog", () => {
  it("writes one line per stage at the end of the callback", async () => {
    const path = newPath()
    const log = new AckLog(path)
    log.append(ack("a", { line_sha256: "00", msg_id: "x.a", evidence: { seq: 7 } }))
    log.append(ack("a", { state: "mirrored", by: "@bob" }))
    await Promise.resolve()
    expect(read(path)).toEqual([
      { id: "a", state: "accepted", ts: 1, line_sha256: "00", msg_id: "x.a", evidence: { seq: 7 } },
      { id: "a", state: "mirrored", ts: 1, by: "@bob" },
    ])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("writes no stage twice, in one process or over a crash", () => {
    const path = newPath()
    for (let i = 0; i < 3; i++) {
      const log = new AckLog(path)
      log.append(ack("a", { ts: i }))
      log.append(ack("a", { ts: i + 1 }))
      log.append(ack("b", { state: "mirrored", by: "@one" }))
      log.append(ack("b", { state: "mirrored", by: "@two" }))
      log.flush()
      log.append(ack("a"))
      log.flush()
    }
    expect(read(path).map(({ id, by }) => `${id}${by ?? ""}`)).toEqual(["a", "b@one", "b@two"])
  })

  it("knows the line of an accepted message, also after a restart", () => {
    const path = newPath()
    const log = new AckLog(path)
    log.append(ack("a", { line_sha256: "aa", msg_id: "x.a" }))
    log.append(ack("request", { line_sha256: "bb" }))
    expect([log.lineOf("a"), log.lineOf("request")]).toEqual(["aa", undefined])
    log.flush()
    const again = new AckLog(path)
    expect([again.lineOf("a"), again.lineOf("request")]).toEqual(["aa", undefined])
  })

  it("distinguishes two lines with the same id", () => {
    const path = newPath()
    const log = new AckLog(path)
    log.append(ack("a", { line_sha256: "aaaaaaaaaaaaaaaa" }))
    log.append(ack("a", { line_sha256: "bbbbbbbbbbbbbbbb" }))
    log.flush()
    expect(read(path)).toHaveLength(2)
  })

  it("continues after a partial line, and after a line of a user", () => {
    const path = newPath()
    appendFileSync(path, 'mine\n{"id":"a","state":"acc')
    const log = new AckLog(path)
    log.append(ack("a"))
    log.flush()
    expect(readFileSync(path, "utf8").split("\n").slice(0, 2)).toEqual(["mine", JSON.stringify(ack("a"))])
    truncateSync(path)
    log.append(ack("b"))
    log.flush()
    expect(ids(path)).toEqual(["b"])
  })

  it("becomes acks.1.jsonl at 8 MiB, whose stages are not written again", () => {
    const path = newPath()
    let log = new AckLog(path)
    log.append(ack("first"))
    log.flush()
    appendFileSync(path, `${JSON.stringify({ note: "x".repeat(8 * 1024 * 1024) })}\n`)
    appendFileSync(path, `${JSON.stringify(ack("last"))}\n`)
    log.append(ack("next"))
    log.flush()
    expect(ids(path)).toEqual(["next"])
    truncateSync(path)
    log = new AckLog(path)
    log.append(ack("last"))
    log.flush()
    expect(statSync(path).size).toBe(0)
    expect(statSync(path.replace(".jsonl", ".1.jsonl")).size).toBeGreaterThan(8 * 1024 * 1024)
  })

  it("remembers only the newest stages", () => {
    const path = newPath()
    const log = new AckLog(path)
    for (let i = 0; i < 6_300; i++) log.append(ack(`${i}`))
    log.flush()
    log.append(ack("0"))
    log.append(ack("6299"))
    log.flush()
    expect(ids(path)).toHaveLength(6_301)
  })

  it.runIf(isRoot())(
    "keeps acks that a full disk refuses, reports the problem once, and writes them later",
    () => {
      const disk = new SmallDisk(64 * 1024)
      const path = join(disk.path, "acks.jsonl")
      const problems: (ChatError | undefined)[] = []
      const log = new AckLog(path, (problem) => problems.push(problem))
      log.append(ack("a"))
      log.flush()
      appendFileSync(path, `${JSON.stringify({ note: "x".repeat(3_900) })}\n`)
      disk.fill()
      for (let i = 0; i < 20; i++) {
        log.append(ack(`b${i}`))
        log.flush()
      }
      expect(problems.map((problem) => problem?.code)).toEqual(["FILE_FAILED"])
      const before = readFileSync(path, "utf8")
      expect(before.endsWith("\n")).toBe(true)
      disk.free()
      log.flush()
      expect(problems).toHaveLength(2)
      expect(problems[1]).toBeUndefined()
      expect(ids(path).slice(-20)).toEqual(Array.from({ length: 20 }, (_, i) => `b${i}`))
    },
  )
})
