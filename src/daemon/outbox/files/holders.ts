import { readdirSync, readlinkSync, statSync } from "node:fs"
import { isFileError } from "../problems.js"

/** Inode number the kernel gives the first PID namespace (PROC_PID_INIT_INO). */
const firstPidNamespace = "pid:[4026531836]"

/** Who can be seen to hold a file open: every process, those of this container, or none. */
export type HolderSight = "all" | "container" | "none"

/** How far this process sees. */
export function holderSight(): HolderSight {
  try {
    return readlinkSync("/proc/self/ns/pid") === firstPidNamespace ? "all" : "container"
  } catch (error) {
    if (isFileError(error)) return "none"
    throw error
  }
}

/**
 * Which of some files other processes have open. Looks at one process per turn of the event loop.
 * @param wanted - as `dev:ino`
 * @param names - base names those files have or had; only files opened by one of them are looked at, because
 *   asking a dead network file system for an inode would never return
 */
export async function findHeld(
  wanted: ReadonlySet<string>,
  names: ReadonlySet<string>,
): Promise<Set<string>> {
  const held = new Set<string>()
  const self = tolerant(() => readlinkSync("/proc/self"))
  const pids = (tolerant(() => readdirSync("/proc")) ?? []).filter(
    (name) => /^\d+$/.test(name) && name !== self,
  )
  for (const pid of pids) {
    const folder = `/proc/${pid}/fd`
    for (const fd of tolerant(() => readdirSync(folder)) ?? []) {
      const target = tolerant(() => readlinkSync(`${folder}/${fd}`)) ?? ""
      const name = target.slice(target.lastIndexOf("/") + 1).replace(/ \(deleted\)$/, "")
      if (!names.has(name)) continue
      const stats = tolerant(() => statSync(`${folder}/${fd}`, { bigint: true }))
      const inode = stats === undefined ? "" : `${stats.dev}:${stats.ino}`
      if (wanted.has(inode)) held.add(inode)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return held
}

/** A process may end, or be another user's, while it is looked at. */
function tolerant<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (isFileError(error)) return undefined
    throw error
  }
}
