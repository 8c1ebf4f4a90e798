/** Finds the harness above a process. */
import { readFileSync } from "node:fs"
import { describeProcess, isSameProcess, type ProcessRecord } from "../daemon/files/process-record.js"
import type { SessionRecord } from "./sessions.js"

/** Shells and other programs that a harness may run a command in, and that end with it. */
const shells = new Set(["sh", "bash", "dash", "zsh", "fish", "ash", "ksh", "env", "timeout"])
/** Ancestors looked at: a harness, a few shells and scripts. */
const maxAncestors = 12

/**
 * Returns the nearest process above a hook that is no shell; undefined where the system does not say what a process is.
 * @param parentPid - the process that started the hook
 */
export function harnessProcess(parentPid: number): ProcessRecord | undefined {
  for (const { pid, command } of ancestors(parentPid)) if (!shells.has(command)) return describeProcess(pid)
  return undefined
}

/**
 * Returns the sessions of the nearest harness above a process, if one of them has a record; several share a process where
 * an editor has several conversations.
 * @param parentPid - the process that started this one
 */
export function sessionsAbove(records: readonly SessionRecord[], parentPid: number): SessionRecord[] {
  for (const { pid } of ancestors(parentPid)) {
    const named = records.filter(({ process }) => process?.pid === pid)
    const described = named.length === 0 ? undefined : describeProcess(pid)
    const found = named.filter(({ process }) => process && described && isSameProcess(process, described))
    if (found.length > 0) return found
  }
  return []
}

/** Yields a process and those above it, the nearest first; none where the system has no /proc. */
function* ancestors(first: number): Generator<{ readonly pid: number; readonly command: string }> {
  let pid = first
  for (let left = maxAncestors; left > 0 && pid > 1; left--) {
    const stat = statOf(pid)
    if (stat === undefined) return
    yield { pid, command: stat.command }
    pid = stat.parent
  }
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function statOf(pid: number): { command: string; parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    const end = text.lastIndexOf(")")
    return {
      command: text.slice(text.indexOf("(") + 1, end),
      parent: Number(text.slice(end + 2).split(" ")[1]),
    }
  } catch {
    return undefined
  }
}
