import { readFileSync, rmSync } from "node:fs"
import { writeFileAtomic } from "../../base/atomic-file.js"
import { type ProcessRecord, parseProcessRecord, processState } from "../../daemon/process/process-record.js"

/** What `up` started in this directory, and `down` may end: nothing else. */
export interface LaunchRecord {
  readonly relay: ProcessRecord | undefined
  /** The process that hosted the daemon `default` when `up` had started it. */
  readonly daemon: ProcessRecord | undefined
}

/** Reads the record; what is gone by now is left out. */
export function readLaunch(path: string): LaunchRecord {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch {
    return { relay: undefined, daemon: undefined }
  }
  const { relay, daemon } = (value ?? {}) as { relay?: unknown; daemon?: unknown }
  return { relay: living(relay), daemon: living(daemon) }
}

/** Replaces the record; one of nothing removes the file. */
export function writeLaunch(path: string, record: LaunchRecord): void {
  if (record.relay === undefined && record.daemon === undefined) rmSync(path, { force: true })
  else writeFileAtomic(path, `${JSON.stringify({ v: 1, ...record })}\n`)
}

/** Adds what was started now to what the file says. */
export function recordLaunch(path: string, started: Partial<LaunchRecord>): void {
  writeLaunch(path, { ...readLaunch(path), ...started })
}

/** Whether two records mean the very same process. */
export function isSameProcess(a: ProcessRecord | undefined, b: ProcessRecord | undefined): boolean {
  return a !== undefined && a.pid === b?.pid && a.start_time === b.start_time && a.boot_id === b.boot_id
}

function living(value: unknown): ProcessRecord | undefined {
  const record = parseProcessRecord(value)
  return record !== undefined && processState(record) === "alive" ? record : undefined
}
