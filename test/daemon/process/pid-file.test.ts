import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import {
  claimPidFile,
  type Holder,
  readHolder,
  releasePidFile,
  touchPidFile,
} from "../../../src/daemon/process/pid-file.js"
import { describeProcess } from "../../../src/daemon/process/process-record.js"

const self = describeProcess(process.pid)
const mine: Holder = {
  process: self,
  socket: "/run/mine.sock",
  agentId: "@0123456789abcdef",
  server: "ws://x",
}
/** A living process (this one) that differs from `mine` only in its record. */
const parent: Holder = { process: describeProcess(process.ppid), socket: "/run/other.sock" }

describe("a pid file", () => {
  let pidFile: string
  beforeEach(() => {
    pidFile = join(mkdtempSync(join(tmpdir(), "agentchat-claim-")), "daemons", "a", "daemon.pid")
  })

  it("has one living holder", async () => {
    await claimPidFile(pidFile, parent, Date.now())
    await expect(claimPidFile(pidFile, mine, Date.now())).rejects.toMatchObject({
      code: "ALREADY_RUNNING",
      exit: 10,
    })
    expect(readHolder(pidFile, Date.now())).toEqual(parent)
  })

  it("goes to exactly one of many processes that start at once", async () => {
    const claims = [mine, parent].map((holder) => claimPidFile(pidFile, holder, Date.now()))
    const results = await Promise.allSettled(claims)
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
  })

  it("is free once its holder is dead, even if its pid is in use again", async () => {
    const dead: Holder = { ...parent, process: { ...parent.process, start_time: "1" } }
    mkdirSync(join(pidFile, ".."), { recursive: true })
    writeFileSync(pidFile, JSON.stringify({ ...dead.process, socket: dead.socket }))
    expect(readHolder(pidFile, Date.now())).toBeUndefined()
    await claimPidFile(pidFile, mine, Date.now())
    expect(readHolder(pidFile, Date.now())).toEqual(mine)
  })

  it("is free if it contains no record", async () => {
    mkdirSync(join(pidFile, ".."), { recursive: true })
    writeFileSync(pidFile, "12\n")
    await claimPidFile(pidFile, mine, Date.now())
    expect(readHolder(pidFile, Date.now())).toEqual(mine)
  })

  it("is not blocked by a start that crashed while it held the lock", async () => {
    mkdirSync(`${pidFile}.lock`, { recursive: true })
    const longAgo = Date.now() / 1000 - 60
    utimesSync(`${pidFile}.lock`, longAgo, longAgo)
    await claimPidFile(pidFile, mine, Date.now())
    expect(readHolder(pidFile, Date.now())).toEqual(mine)
  })

  it("counts as held by another container while it is touched", async () => {
    const elsewhere: Holder = { ...mine, process: { ...self, pid_ns: "pid:[1]" } }
    await claimPidFile(pidFile, elsewhere, Date.now())
    touchPidFile(pidFile, 1_000_000)
    expect(readHolder(pidFile, 1_029_000)).toEqual(elsewhere)
    expect(readHolder(pidFile, 1_031_000)).toBeUndefined()
  })

  it("is released only by its holder", async () => {
    await claimPidFile(pidFile, mine, Date.now())
    releasePidFile(pidFile, parent.process)
    expect(existsSync(pidFile)).toBe(true)
    releasePidFile(pidFile, self)
    expect(existsSync(pidFile)).toBe(false)
  })

  it("names the process and its socket, readable only by its owner", async () => {
    await claimPidFile(pidFile, mine, Date.now())
    expect(statSync(pidFile).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(pidFile, "utf8"))).toMatchObject({
      v: 1,
      pid: process.pid,
      socket: mine.socket,
    })
  })
})
