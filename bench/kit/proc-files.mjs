// What Linux tells about a process. Other systems have no such files; benchmarks that need them refuse there.
import { existsSync, readdirSync, readFileSync } from "node:fs"

/** Throws where a process cannot be looked at. */
export function requireProcFiles() {
  if (!existsSync("/proc/self/task")) throw new Error("this benchmark reads /proc, which only Linux has")
}

/** Processor time of all its living threads so far, in seconds. @param {number} pid */
export function cpuSeconds(pid) {
  return sumOverTasks(pid, "schedstat", (text) => Number(text.split(" ")[0])) / 1e9
}

/** How often its main thread, and all of its threads, fell asleep so far and so had to be woken. @param {number} pid */
export function wakeUps(pid) {
  const read = (/** @type {string} */ text) => readField(text, "voluntary_ctxt_switches")
  return { main: read(readFileSync(`/proc/${pid}/status`, "utf8")), all: sumOverTasks(pid, "status", read) }
}

/** Resident memory in KiB. @param {number} pid */
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
