// Reads Linux's /proc files of a process. On other systems the benchmarks that need them fail with a clear error.
import { existsSync, readdirSync, readFileSync } from "node:fs"

/** Throws on systems without /proc. */
export function requireProcFiles() {
  if (!existsSync("/proc/self/task")) throw new Error("this benchmark reads /proc, which only Linux has")
}

/** Returns the processor time of all live threads of a process, in seconds. @param {number} pid */
export function cpuSeconds(pid) {
  return sumOverTasks(pid, "schedstat", (text) => Number(text.split(" ")[0])) / 1e9
}

/** Returns the voluntary context switches (wake-ups) of the main thread, and of all threads. @param {number} pid */
export function wakeUps(pid) {
  const read = (/** @type {string} */ text) => readField(text, "voluntary_ctxt_switches")
  return { main: read(readFileSync(`/proc/${pid}/status`, "utf8")), all: sumOverTasks(pid, "status", read) }
}

/** Returns the resident memory in KiB. @param {number} pid */
export function residentKib(pid) {
  return readField(readFileSync(`/proc/${pid}/status`, "utf8"), "VmRSS")
}

/**
 * @param {number} pid
 * @param {string} file
 * @param {(text: string) => number} read
 */
function sumOverTasks(pid, file, read) {
  const tasks = readdirSync(`/proc/${pid}/task`)
  return tasks.reduce((sum, task) => sum + read(readFileSync(`/proc/${pid}/task/${task}/${file}`, "utf8")), 0)
}

/** @param {string} text @param {string} name */
function readField(text, name) {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN)
}
