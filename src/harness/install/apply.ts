/** Writes what is planned, and keeps the record of it. */

import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type Clock, delay } from "../../base/clock.js"
import { type LockOwner, underLock } from "../../daemon/files/lock-file.js"
import { describeProcess } from "../../daemon/files/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import { missingParents, removeEmpty, removeFound, removeTemporaries, writeFound } from "./disk.js"
import { describe, type FileChange, type InstallProblem, type Plan } from "./plan.js"
import { type InstallRecord, readRecord, recordFolder, writeRecord } from "./record.js"
import type { Places } from "./spec.js"

/** The result of applying plans. */
export interface Applied {
  readonly changes: readonly FileChange[]
  readonly problems: readonly InstallProblem[]
}

/** The process that applies changes. */
export interface Applier {
  readonly pid: number
  readonly clock: Clock
}

/** Milliseconds to wait for another install, and between two looks. */
const waitMs = 10_000
const lookMs = 100

/**
 * Plans and applies changes, while no other install does.
 * @param plan - plans with the record as it is then
 * @throws {ChatError} FILE_FAILED if another install does not end or the record cannot be used
 */
export async function applyUnderLock(
  places: Places,
  { pid, clock }: Applier,
  plan: (record: InstallRecord) => Iterable<Plan>,
): Promise<Applied> {
  const deadline = clock.monotonic() + waitMs
  const owner = { process: describeProcess(pid), now: () => clock.now() }
  for (;;) {
    const applied = applyOnce(places, owner, plan)
    if (applied !== undefined) return applied
    if (clock.monotonic() >= deadline) {
      throw new ChatError("FILE_FAILED", "another agentchat install is running", { hint: "try again" })
    }
    await delay(clock, lookMs)
  }
}

/** @returns undefined if another install is at work */
function applyOnce(
  places: Places,
  owner: LockOwner,
  plan: (record: InstallRecord) => Iterable<Plan>,
): Applied | undefined {
  const lock = join(recordFolder(places), "install.lock")
  const created = missingParents(lock)
  mkdirSync(recordFolder(places), { recursive: true })
  let applied: Applied | undefined
  let left: InstallRecord | undefined
  try {
    underLock(lock, owner, () => {
      left = readRecord(places)
      for (const directory of created) left.directories.add(directory)
      applied = applyPlans(places, left, plan)
    })
    return applied
  } finally {
    if (left === undefined || left.files.size === 0) {
      removeEmpty([...created, ...(left?.directories ?? []), recordFolder(places)])
    }
  }
}

/**
 * Applies plans, each of which is made when the one before is applied: harnesses may share a file. The record is written
 * first: with it, uninstall finds nothing to do in a file that was not written.
 */
function applyPlans(
  places: Places,
  record: InstallRecord,
  plan: (record: InstallRecord) => Iterable<Plan>,
): Applied {
  const changes: FileChange[] = []
  const problems: InstallProblem[] = []
  for (const { changes: planned, problems: found } of plan(record)) {
    problems.push(...found)
    for (const change of planned) {
      const problem = applyChange(places, record, change)
      if (problem === undefined) changes.push(change)
      else problems.push(problem)
    }
  }
  const left = removeEmpty([...record.directories])
  record.directories.clear()
  for (const directory of left) record.directories.add(directory)
  writeRecord(places, record)
  return { changes, problems }
}

function applyChange(places: Places, record: InstallRecord, change: FileChange): InstallProblem | undefined {
  const { harness, path, found, after, entry } = change
  const before = record.files.get(path)
  try {
    removeTemporaries(found.path)
    if (entry !== undefined) {
      record.files.set(path, entry)
      for (const directory of missingParents(found.path)) record.directories.add(directory)
      writeRecord(places, record)
    }
    if (after === undefined && found.text !== undefined) removeFound(found)
    else if (after !== undefined && after !== found.text) writeFound(found, after)
    if (entry === undefined) record.files.delete(path)
    return undefined
  } catch (error) {
    if (before === undefined) record.files.delete(path)
    else record.files.set(path, before)
    return { harness, path, ...describe(error, path) }
  }
}
