import { rmSync, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { readIfExists } from "../../base/files.js"
import { isSameProcess, type ProcessRecord, parseProcessRecord, processState } from "./process-record.js"

/** A lock of a process that cannot be looked up counts as abandoned after this many milliseconds. */
const elsewhereStaleMs = 10_000
/** A lock without a record was left by a process that died, or that has yet to write its record, which takes no time. */
const emptyStaleMs = 2_000

/** An age that no lock reaches: {@link removeAbandoned} decides. */
const neverMs = 24 * 3_600_000

/** Process that takes a lock. */
export interface LockOwner {
  readonly process: ProcessRecord
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
}

/**
 * Runs `section` while this process alone has the lock, a directory that contains a record of its owner. The section runs
 * within one turn of the event loop, so a lock that names a dead process, or the caller's own, was left behind by a crash
 * and is taken over. Its age does not matter: the clock may have been set since.
 * @returns false if another living process has the lock; then `section` did not run
 * @throws the error of `section`, or the system error of the lock
 */
export function underLock(path: string, owner: LockOwner, section: () => void): boolean {
  const release = take(path, neverMs) ?? (removeAbandoned(path, owner) ? take(path, neverMs) : undefined)
  if (release === undefined) return false
  try {
    writeFileSync(recordOf(path), JSON.stringify(owner.process), { mode: 0o600 })
    section()
  } finally {
    rmSync(recordOf(path), { force: true })
    release()
  }
  return true
}

/** @param staleMs - age after which the library takes over a lock */
function take(path: string, staleMs: number): (() => void) | undefined {
  const { lockSync } = createRequire(import.meta.url)("proper-lockfile") as typeof import("proper-lockfile")
  try {
    return lockSync(path, {
      ...{ realpath: false, lockfilePath: path, stale: staleMs },
      // The section is too short for the library to refresh the lock, or to notice that it was lost.
      onCompromised: () => {},
    })
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (["ELOCKED", "ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(code)) return undefined
    throw error
  }
}

/** Removes an abandoned lock under a lock of its own, so that nobody removes the one that follows. */
function removeAbandoned(path: string, owner: LockOwner): boolean {
  if (!isAbandoned(path, owner)) return false
  const release = take(`${path}.takeover`, emptyStaleMs)
  if (release === undefined) return false
  try {
    if (!isAbandoned(path, owner)) return false
    rmSync(path, { recursive: true, force: true })
    return true
  } finally {
    release()
  }
}

/** Reports whether the process that took a lock is gone. @param owner - the process that asks */
export function isAbandoned(path: string, owner: LockOwner): boolean {
  const record = readRecord(path)
  if (record !== undefined) {
    if (isSameProcess(record, owner.process)) return true
    const state = processState(record)
    if (state !== "elsewhere") return state === "dead"
  }
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return true
  const staleMs = record === undefined ? emptyStaleMs : elsewhereStaleMs
  return Math.abs(owner.now() - found.mtimeMs) >= staleMs
}

function readRecord(path: string): ProcessRecord | undefined {
  try {
    return parseProcessRecord(JSON.parse(readIfExists(recordOf(path)) ?? ""))
  } catch {
    return undefined
  }
}

function recordOf(path: string): string {
  return join(path, "owner.json")
}
