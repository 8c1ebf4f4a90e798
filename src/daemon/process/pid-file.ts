import { mkdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { writeFileAtomic } from "../../base/atomic-file.js"
import { ChatError } from "../../protocol/errors.js"
import { type ProcessRecord, parseProcessRecord, processState } from "./process-record.js"

/** The process that holds a pid file, and its control socket. */
export interface Holder {
  readonly process: ProcessRecord
  readonly socket: string
  readonly agentId?: string
  readonly server?: string
}

/** A holder whose process cannot be looked up counts as gone this many milliseconds after it touched its file. */
const heartbeatStaleMs = 30_000
/** Milliseconds between two touches of the file by its holder. */
export const heartbeatMs = 10_000
/** Milliseconds after which the lock of a start that crashed is ignored. */
const startStaleMs = 10_000

/**
 * Makes `holder` the only holder of `pidFile`. The lock is held only for the check and the write. A holder counts as long
 * as its process is alive, so neither a stale lock nor a reused pid can block a start.
 * @throws {ChatError} ALREADY_RUNNING when another living process holds the file
 */
export async function claimPidFile(pidFile: string, holder: Holder, nowMs: number): Promise<void> {
  await underStartLock(pidFile, () => {
    const current = readHolder(pidFile, nowMs)
    if (current !== undefined && !isSameProcess(current.process, holder.process)) {
      throw new ChatError("ALREADY_RUNNING", `process ${current.process.pid} holds ${pidFile}`, {
        hint: "stop it first: agentchat daemon --stop",
      })
    }
    const { process, socket, agentId, server } = holder
    const content = { v: 1, ...process, socket, agent_id: agentId, server }
    writeFileAtomic(pidFile, `${JSON.stringify(content)}\n`)
  })
}

/** Returns the living holder of `pidFile`; undefined if there is none. */
export function readHolder(pidFile: string, nowMs: number): Holder | undefined {
  const holder = parseHolder(pidFile)
  if (holder === undefined) return undefined
  const state = processState(holder.process)
  if (state === "alive") return holder
  return state === "elsewhere" && nowMs - statSync(pidFile).mtimeMs < heartbeatStaleMs ? holder : undefined
}

/** Updates the file's time for processes that cannot look the pid up, such as those in another container. */
export function touchPidFile(pidFile: string, nowMs: number): void {
  utimesSync(pidFile, nowMs / 1000, nowMs / 1000)
}

/** Removes the file if `process` still holds it. */
export function releasePidFile(pidFile: string, process: ProcessRecord): void {
  const holder = parseHolder(pidFile)
  if (holder !== undefined && isSameProcess(holder.process, process)) rmSync(pidFile, { force: true })
}

async function underStartLock(pidFile: string, section: () => void): Promise<void> {
  mkdirSync(dirname(pidFile), { recursive: true, mode: 0o700 })
  const { lock } = createRequire(import.meta.url)("proper-lockfile") as typeof import("proper-lockfile")
  const release = await lock(pidFile, {
    realpath: false,
    stale: startStaleMs,
    retries: { retries: 100, factor: 1, minTimeout: 50, maxTimeout: 200, randomize: true },
  })
  try {
    section()
  } finally {
    await release()
  }
}

function parseHolder(pidFile: string): Holder | undefined {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(pidFile, "utf8"))
  } catch {
    return undefined
  }
  const process = parseProcessRecord(value)
  if (process === undefined) return undefined
  const { socket, agent_id, server } = value as Record<string, unknown>
  return {
    process,
    socket: typeof socket === "string" ? socket : "",
    ...(typeof agent_id === "string" ? { agentId: agent_id } : {}),
    ...(typeof server === "string" ? { server } : {}),
  }
}

function isSameProcess(a: ProcessRecord, b: ProcessRecord): boolean {
  return (
    a.pid === b.pid && a.start_time === b.start_time && a.pid_ns === b.pid_ns && a.hostname === b.hostname
  )
}
