import { execFileSync } from "node:child_process"
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { isPlain } from "../../base/plain.js"

/**
 * Identifies one process. Its number alone does not, because the system reuses pids: the same number with another start
 * time, or from before a reboot, is another process.
 */
export interface ProcessRecord {
  readonly pid: number
  /** Start time in the system's own format: clock ticks since boot on Linux, a date elsewhere. */
  readonly start_time: string
  /** The kernel's id of this boot; "" if the system has none. */
  readonly boot_id: string
  /** The pid namespace of the number; "" if the system has none. */
  readonly pid_ns: string
  readonly hostname: string
}

const recordKeys = ["pid", "start_time", "boot_id", "pid_ns", "hostname"] as const

/** State of a recorded process; `elsewhere` if it cannot be looked up from here. */
export type ProcessState = "alive" | "dead" | "elsewhere"

/** Describes a running process, usually the caller's own. */
export function describeProcess(pid: number): ProcessRecord {
  return {
    pid,
    start_time: startTime(pid) ?? "",
    boot_id: readText("/proc/sys/kernel/random/boot_id"),
    pid_ns: pidNamespace(),
    hostname: hostname(),
  }
}

/** Looks a process up. @returns `elsewhere` for a process of another machine or container */
export function processState(record: ProcessRecord): ProcessState {
  if (record.hostname !== hostname() || record.pid_ns !== pidNamespace()) return "elsewhere"
  if (record.boot_id !== readText("/proc/sys/kernel/random/boot_id")) return "dead"
  return startTime(record.pid) === record.start_time ? "alive" : "dead"
}

/** Parses a record from a file; undefined if it is not one. */
export function parseProcessRecord(value: unknown): ProcessRecord | undefined {
  if (!isPlain(value)) return undefined
  const { pid, start_time, boot_id, pid_ns, hostname: host } = value
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined
  if (typeof start_time !== "string" || typeof boot_id !== "string") return undefined
  if (typeof pid_ns !== "string" || typeof host !== "string") return undefined
  return { pid, start_time, boot_id, pid_ns, hostname: host }
}

/** Tests whether two records name the same process. */
export function isSameProcess(a: ProcessRecord, b: ProcessRecord): boolean {
  return recordKeys.every((key) => a[key] === b[key])
}

/**
 * Reports whether the process that has this pid now is the one that had it at `atMs`.
 * @param atMs - milliseconds since the Unix epoch
 */
export function wasRunningAt(pid: number, atMs: number, nowMs: number): boolean {
  if (startTime(pid) === undefined) return false
  // Elapsed time is counted from the boot on, so a clock that was set meanwhile does not matter much.
  const elapsed = askPs(pid, "etime")?.match(/^(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)$/)
  if (elapsed === null || elapsed === undefined) return false
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = elapsed
    .slice(1)
    .map((part: string | undefined) => Number(part ?? 0))
  const startedMs = nowMs - (((days * 24 + hours) * 60 + minutes) * 60 + seconds + 1) * 1000
  return startedMs <= atMs
}

/** Reports whether a process has this pid now. */
export function isRunning(pid: number): boolean {
  return startTime(pid) !== undefined
}

function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat !== "") {
    // The command name may contain spaces and parentheses, so count the fields after its last ")".
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19]
  }
  return readText("/proc/self/stat") === "" ? askPs(pid, "lstart") : undefined
}

/** Asks `ps` in a fixed time zone and language: two callers must read the same start time. */
export function askPs(pid: number, column: "lstart" | "etime"): string | undefined {
  const env = { PATH: "/bin:/usr/bin", TZ: "UTC0", LC_ALL: "C" }
  try {
    const text = execFileSync("ps", ["-o", `${column}=`, "-p", String(pid)], { encoding: "utf8", env }).trim()
    return text === "" ? undefined : text
  } catch {
    return undefined
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return ""
  }
}
