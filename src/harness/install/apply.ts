/** Writes what is planned, and keeps the record of it. */

import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { underLock } from "../../daemon/files/lock-file.js"
import { describeProcess } from "../../daemon/files/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import { missingParents, removeEmpty, removeFound, writeFound } from "./disk.js"
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
  /** Milliseconds since the Unix epoch. */
  now(): number
}

/**
 * Plans and applies changes, while no other install does.
 * @param plan - plans with the record as it is then
 * @throws {ChatError} FILE_FAILED if another install runs or the record cannot be used
 */
export function applyUnderLock(
  places: Places,
  applier: Applier,
  plan: (record: InstallRecord) => Iterable<Plan>,
): Applied {
  const lock = join(recordFolder(places), "install.lock")
  const created = missingParents(lock)
  mkdirSync(recordFolder(places), { recursive: true })
  const owner = { process: describeProcess(applier.pid), now: () => applier.now() }
  let applied: Applied | undefined
  let left: InstallRecord | undefined
  try {
    const isAlone = underLock(lock, owner, () => {
      left = readRecord(places)
      for (const directory of created) left.directories.add(directory)
      applied = applyPlans(places, left, plan)
    })
    if (!isAlone || applied === undefined) {
      throw new ChatError("FILE_FAILED", "another agentchat install is running", { hint: "try again" })
    }
    return applied
  } finally {
    if (left === undefined || left.files.size === 0) removeEmpty([...created, ...(left?.directories ?? [])])
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
