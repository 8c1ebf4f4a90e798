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

function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat !== "") {
    // The command name may contain spaces and parentheses, so count the fields after its last ")".
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19]
  }
  if (readText("/proc/self/stat") !== "") return undefined
  try {
    const text = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim()
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
