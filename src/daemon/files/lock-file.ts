import { closeSync, linkSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { isSameProcess, type ProcessRecord, parseProcessRecord, processState } from "./process-record.js"

/** A lock of a process that cannot be looked up counts as abandoned after this many milliseconds. */
const elsewhereStaleMs = 10_000
/** A lock without a record was left by a process that died, or that has yet to write its record, which takes no time. */
const emptyStaleMs = 1_000

/** Whoever takes a lock. */
export interface LockOwner {
  readonly process: ProcessRecord
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
}

/**
 * Runs `section` while this process alone has the lock. The section runs within one turn of the event loop, so a lock
 * that names a dead process, or the caller's own, was left behind by a crash and is taken over. Its age does not matter:
 * the clock may have been set since.
 * @returns false if another living process has the lock; then `section` did not run
 * @throws the error of `section`, or the system error of the lock file
 */
export function underLock(path: string, owner: LockOwner, section: () => void): boolean {
  if (!take(path, owner.process) && !(removeAbandoned(path, owner) && take(path, owner.process))) return false
  try {
    section()
  } finally {
    rmSync(path, { force: true })
  }
  return true
}

function take(path: string, process: ProcessRecord): boolean {
  let fd: number
  try {
    fd = openSync(path, "wx", 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
  try {
    writeSync(fd, JSON.stringify(process))
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
  return true
}

/** Renames the lock before it removes it, so that only one of several processes takes it over. */
function removeAbandoned(path: string, owner: LockOwner): boolean {
  const record = readRecord(path)
  if (!isAbandoned(path, record, owner)) return false
  const aside = `${path}.${owner.process.pid}`
  try {
    renameSync(path, aside)
    const isTheSame = isDeepStrictEqual(readRecord(aside), record)
    // Another process took it over a moment earlier: give that one its lock back.
    if (!isTheSame) linkSync(aside, path)
    return isTheSame
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "EEXIST") return code === "ENOENT"
    throw error
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

function isAbandoned(path: string, record: ProcessRecord | undefined, owner: LockOwner): boolean {
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
    return parseProcessRecord(JSON.parse(readFileSync(path, "utf8")))
  } catch {
    return undefined
  }
}
