import { spawn } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { describeProcess } from "../../../src/daemon/files/process-record.js"
import { claimHome, type Holder, type HolderFiles, readHolder } from "../../../src/daemon/process/pid-file.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const self = describeProcess(process.pid)
const mine: Holder = {
  process: self,
  socket: "/run/mine.sock",
  agentId: "@0123456789abcdef",
  server: "ws://x",
}
/** A living process that is not this one. */
const parent: Holder = { process: describeProcess(process.ppid), socket: "/run/other.sock" }
const dead: Holder = { ...parent, process: { ...parent.process, start_time: "1" } }

describe("the holder of a directory", () => {
  let dir: string
  let files: HolderFiles & { pid: string }
  const claim = (holder: Holder) => claimHome(files, holder, systemClock)
  const holder = (record = files.record) => readHolder(record, Date.now())
  const filesIn = (place: string) => ({ record: join(place, "daemon.json"), pid: join(place, "daemon.pid") })
  beforeEach(() => {
    dir = join(temporaryDirectory(), "daemons", "a")
    files = filesIn(dir)
  })

  it("is one living process", async () => {
    await claim(parent)
    await expect(claim(mine)).rejects.toMatchObject({ code: "ALREADY_RUNNING", exit: 10 })
    expect(holder()).toEqual({ ...parent, isMoved: false })
  })

  it("is exactly one of many processes that start at once", async () => {
    const results = await Promise.allSettled([mine, parent].map(claim))
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
  })

  it("is gone once it is dead, even if its pid is in use again", async () => {
    ;(await claim(dead)).touch(Date.now())
    expect(holder()).toBeUndefined()
    await claim(mine)
    expect(holder()).toMatchObject(mine)
  })

  it("is in another container as long as it touches its record", async () => {
    const elsewhere: Holder = { ...mine, process: { ...self, pid_ns: "pid:[1]" } }
    ;(await claim(elsewhere)).touch(1_000_000)
    expect(readHolder(files.record, 1_029_000)).toMatchObject(elsewhere)
    expect(readHolder(files.record, 1_031_000)).toBeUndefined()
  })

  it("is named by a bare number in the pid file, and by a record that only its owner can read", async () => {
    await claim(mine)
    expect(readFileSync(files.pid, "utf8")).toBe(`${process.pid}\n`)
    expect(statSync(files.record).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(files.record, "utf8"))).toMatchObject({
      v: 1,
      pid: process.pid,
      ...{ socket: mine.socket },
    })
  })

  it("holds no copy of its directory", async () => {
    const held = await claim(mine)
    const copy = `${dir}-copy`
    cpSync(dir, copy, { recursive: true })
    expect(holder(filesIn(copy).record)).toBeUndefined()
    await claimHome(filesIn(copy), parent, systemClock)
    expect(held.check()).toBeUndefined()
    expect(holder(filesIn(copy).record)).toMatchObject(parent)
  })

  it("loses a directory that is moved away, removed, or replaced by its copy", async () => {
    const held = await claim(mine)
    renameSync(dir, `${dir}-moved`)
    expect(held.check()).toMatchObject({
      reason: expect.stringContaining("removed or moved"),
      isHomeOurs: false,
    })
    expect(holder(filesIn(`${dir}-moved`).record)).toMatchObject({ isMoved: true })
    expect(() => held.requireHome()).toThrow("removed or moved")
    cpSync(`${dir}-moved`, dir, { recursive: true })
    expect(held.check()).toMatchObject({
      reason: expect.stringContaining("another directory"),
      isHomeOurs: false,
    })
    held.release()
    expect(existsSync(files.pid)).toBe(true)
  })

  it("loses the directory once the pid file is gone or names another process", async () => {
    const held = await claim(mine)
    writeFileSync(files.pid, `${process.ppid}\n`)
    expect(held.check()).toEqual({ reason: `daemon.pid names process ${process.ppid}`, isHomeOurs: false })
    rmSync(files.pid)
    expect(held.check()).toEqual({ reason: "daemon.pid was removed", isHomeOurs: true })
  })

  it("writes a record again that was removed, and a pid file without a number", async () => {
    const held = await claim(mine)
    rmSync(files.record)
    expect(held.check()).toBeUndefined()
    expect(holder()).toMatchObject(mine)
    writeFileSync(files.pid, "")
    expect(held.check()).toBeUndefined()
    expect(readFileSync(files.pid, "utf8")).toBe(`${process.pid}\n`)
  })

  it("gives the directory up only for itself", async () => {
    const held = await claim(dead)
    await claim(mine)
    held.release()
    expect(holder()).toMatchObject(mine)
    ;(await claim(mine)).release()
    expect([files.record, files.pid].some(existsSync)).toBe(false)
  })

  it("is not blocked by the lock of a start that was killed, whatever its date", async () => {
    mkdirSync(dir, { recursive: true })
    const lock = `${files.record}.lock`
    for (const left of [dead, mine]) {
      mkdirSync(lock)
      writeFileSync(join(lock, "owner.json"), JSON.stringify(left.process))
      await claim(mine)
    }
    const inOneHour = Date.now() / 1_000 + 3_600
    for (const leave of [() => writeFileSync(lock, ""), () => mkdirSync(lock)]) {
      leave()
      utimesSync(lock, inOneHour, inOneHour)
      await claim(mine)
      expect(existsSync(lock)).toBe(false)
    }
  })

  it("does not start while a daemon of the first AgentChat runs, which writes only its pid", async () => {
    mkdirSync(dir, { recursive: true })
    const older = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"])
    onTestFinished(() => void older.kill())
    writeFileSync(files.pid, String(older.pid))
    await expect(claim(mine)).rejects.toMatchObject({
      code: "ALREADY_RUNNING",
      message: expect.stringContaining("first AgentChat"),
      hint: expect.stringContaining(`kill ${older.pid}`),
    })
    expect(readFileSync(files.pid, "utf8")).toBe(String(older.pid))
    // The pid is in use again by a process that started later.
    utimesSync(files.pid, 1_000, 1_000)
    await claim(mine)
  })
})
