import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, constants, openSync, readdirSync, readFileSync } from "node:fs"
import { openPlain } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import { rotateLog } from "../files/append-log.js"

/** O_CLOEXEC of Linux: programs that are started do not inherit the file. */
const closeOnExec = 0o2000000

/**
 * Starts a process that outlives this one and has none of its open files but those in `stdio`. Others, such as the lock
 * of a script that calls `flock 200`, would stay open as long as the process runs. Node itself keeps only the first few
 * descriptors from being inherited.
 */
export function spawnInBackground(
  path: string,
  args: readonly string[],
  stdio: readonly ("pipe" | "ignore" | number)[],
): ChildProcess {
  const inherited = new Set(inheritableFiles())
  // "ignore" leaves a descriptor above 2 as it is, so another file takes its place.
  const nothing = openSync("/dev/null", "r")
  const slots = Array.from(
    { length: Math.max(stdio.length, ...[...inherited].map((fd) => fd + 1)) },
    (_, fd) => stdio[fd] ?? (inherited.has(fd) ? nothing : "ignore"),
  )
  try {
    return spawn(path, args, { detached: true, stdio: slots })
  } finally {
    closeSync(nothing)
  }
}

/**
 * Opens the log of a process to be started, for what Node prints when the process crashes.
 * @throws {ChatError} FILE_FAILED
 */
export function openLog(path: string): number {
  try {
    rotateLog(path)
    return openPlain(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${path}: cannot be written (${String(code)})`, { cause: error })
  }
}

/** Returns the descriptors that a started program inherits; empty where the system does not list them. */
function inheritableFiles(): number[] {
  try {
    return readdirSync("/proc/self/fdinfo").map(Number).filter(isInheritable)
  } catch {
    return []
  }
}

function isInheritable(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    // The listing itself had this one open.
    return false
  }
}
