import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { describe, expect, it, onTestFinished, vi } from "vitest"
import {
  askPs,
  describeProcess,
  parseProcessRecord,
  processState,
} from "../../../src/daemon/files/process-record.js"

async function endedProcess(): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, ["-e", "0"])
  await once(child, "exit")
  return child.pid ?? 0
}

describe("a process record", () => {
  it("distinguishes a living process from a dead one", async () => {
    expect(processState(describeProcess(process.pid))).toBe("alive")
    expect(processState({ ...describeProcess(process.pid), pid: await endedProcess() })).toBe("dead")
  })

  it("does not take a reused pid for the same process", () => {
    const record = describeProcess(process.pid)
    expect(processState({ ...record, start_time: `${record.start_time}1` })).toBe("dead")
    expect(processState({ ...record, boot_id: "an earlier boot" })).toBe("dead")
  })

  it("is `elsewhere` if the process cannot be looked up", () => {
    const record = describeProcess(process.pid)
    expect(processState({ ...record, hostname: "another-machine" })).toBe("elsewhere")
    expect(processState({ ...record, pid_ns: "pid:[1]" })).toBe("elsewhere")
  })

  it("has the same start time for callers in every time zone and language", () => {
    const read = (zone: string) => {
      vi.stubEnv("TZ", zone)
      vi.stubEnv("LC_ALL", "de_DE.UTF-8")
      return askPs(process.pid, "lstart")
    }
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(read("Asia/Tokyo")).toMatch(/\d\d:\d\d:\d\d/)
    expect(read("Asia/Tokyo")).toBe(read("America/Lima"))
  })

  it("survives JSON, and nothing else parses as one", () => {
    const record = describeProcess(process.pid)
    expect(parseProcessRecord(JSON.parse(JSON.stringify(record)))).toEqual(record)
    for (const value of [
      null,
      7,
      "x",
      {},
      { ...record, pid: "1" },
      { ...record, pid: -1 },
      { ...record, boot_id: 0 },
    ]) {
      expect(parseProcessRecord(value)).toBeUndefined()
    }
  })
})
