import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { type Clock, delay } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { ensureHome, instanceNames, type RootPaths } from "../files/paths.js"
import type { DaemonStart } from "../options.js"
import { type DaemonStatus, readStatus } from "../status.js"
import { askControl, readLine, throwReply } from "./control-socket.js"
import { readHolder } from "./pid-file.js"

/** Milliseconds a host process may take to start or to reply. */
const replyMs = 10_000

/** One row of `daemon --list`. */
export interface DaemonListEntry {
  readonly name: string
  readonly running: boolean
  readonly pid: number | null
  readonly agent_id: string | null
  readonly server: string | null
}

/**
 * Starts a daemon in the background, in the process that already hosts this directory's daemons. If there is none, or
 * with `isolate`, starts a new process.
 * @param options - `nodePath` is the Node executable for a new process
 * @throws {ChatError} ALREADY_RUNNING, or the error of the start
 */
export async function startDaemon(
  root: RootPaths,
  start: DaemonStart,
  options: { clock: Clock; isolate: boolean; nodePath: string },
): Promise<void> {
  ensureHome(root)
  refuseRunning(root, start.name as InstanceName, options.clock.now())
  if (!options.isolate && (await joinHost(root, start, options.clock.now()))) return
  try {
    await spawnHost(root, start, { shared: !options.isolate, nodePath: options.nodePath })
  } catch (error) {
    // Another process became the host a moment earlier: two daemons were started at once.
    const lost = error instanceof ChatError && error.code === "ALREADY_RUNNING" && !options.isolate
    if (!lost || !(await joinHost(root, start, options.clock.now()))) throw error
  }
}

/**
 * Waits until the first connection attempt of a started daemon has an outcome.
 * @returns the status once it is not `connecting`, or after `timeoutMs`; undefined if there is none
 */
export async function waitForStatus(
  root: RootPaths,
  name: InstanceName,
  options: { clock: Clock; timeoutMs: number },
): Promise<DaemonStatus | undefined> {
  const { clock, timeoutMs } = options
  const deadline = clock.monotonic() + timeoutMs
  for (;;) {
    const status = readStatus(root.instance(name).status)
    if (status !== undefined && status.state !== "connecting") return status
    if (clock.monotonic() >= deadline) return status
    await delay(clock, 20)
  }
}

/** Stops one daemon; others in its process continue. @throws {ChatError} NOT_FOUND when it is not running */
export async function stopDaemon(root: RootPaths, name: InstanceName, clock: Clock): Promise<void> {
  await askControl(socketOf(root, name, clock), { op: "stop", name }, replyMs)
}

/** Resets a daemon's own breaker. @throws {ChatError} NOT_FOUND when it is not running */
export async function resetDaemonGuard(root: RootPaths, name: InstanceName, clock: Clock): Promise<void> {
  await askControl(socketOf(root, name, clock), { op: "reset-guard", name }, replyMs)
}

/** Stops every daemon of the directory. @returns their names */
export async function stopAllDaemons(root: RootPaths, clock: Clock): Promise<string[]> {
  const running = listDaemons(root, clock.now()).filter((entry) => entry.running)
  for (const { name } of running) await stopDaemon(root, name as InstanceName, clock)
  return running.map(({ name }) => name)
}

/** Returns every daemon that has a directory here, running or not, sorted by name. */
export function listDaemons(root: RootPaths, nowMs: number): DaemonListEntry[] {
  return instanceNames(root).map((name) => {
    const paths = root.instance(name)
    const holder = readHolder(paths.pid, nowMs)
    const status = readStatus(paths.status)
    return {
      name,
      running: holder !== undefined,
      pid: holder?.process.pid ?? null,
      agent_id: holder?.agentId ?? status?.agent_id ?? null,
      server: holder?.server ?? status?.server ?? null,
    }
  })
}

/** Returns the status a daemon wrote last, corrected if the process is gone. */
export function daemonStatus(
  root: RootPaths,
  name: InstanceName,
  nowMs: number,
): { status: DaemonStatus | undefined; running: boolean } {
  const paths = root.instance(name)
  const running = readHolder(paths.pid, nowMs) !== undefined
  const status = readStatus(paths.status)
  if (status === undefined || running) return { status, running }
  const crashed =
    status.state === "stopped" ? status.reason : { code: "NOT_FOUND", message: "the process is gone" }
  return { status: { ...status, state: "stopped", connected: false, reason: crashed }, running }
}

/** Returns the control socket of a running daemon. */
function socketOf(root: RootPaths, name: InstanceName, clock: Clock): string {
  const holder = readHolder(root.instance(name).pid, clock.now())
  if (holder !== undefined) return holder.socket
  throw new ChatError("NOT_FOUND", `daemon ${name} is not running`, { hint: "see: agentchat daemon --list" })
}

function refuseRunning(root: RootPaths, name: InstanceName, nowMs: number): void {
  const holder = readHolder(root.instance(name).pid, nowMs)
  if (holder === undefined) return
  const message = `daemon ${name} is already running in process ${holder.process.pid}`
  throw new ChatError("ALREADY_RUNNING", message, { hint: `agentchat daemon --stop --name ${name}` })
}

/** Starts a daemon in the running host. @returns false if there is none, or if it is ending */
async function joinHost(root: RootPaths, start: DaemonStart, nowMs: number): Promise<boolean> {
  const host = readHolder(root.host, nowMs)
  if (host === undefined) return false
  try {
    await askControl(host.socket, { op: "start", start }, replyMs)
    return true
  } catch (error) {
    if (error instanceof ChatError && error.code === "UNREACHABLE") return false
    throw error
  }
}

/** Starts a host process with its first daemon and waits for its reply. */
async function spawnHost(
  root: RootPaths,
  start: DaemonStart,
  { shared, nodePath }: { shared: boolean; nodePath: string },
): Promise<void> {
  const log = openLog(root.hostLog)
  const child = spawn(nodePath, [fileURLToPath(new URL("./host-main.js", import.meta.url))], {
    detached: true,
    stdio: ["pipe", log, log, "pipe"],
  })
  closeSync(log)
  const replies = child.stdio[3] as Socket
  child.stdin?.end(JSON.stringify({ root: root.root, shared, start }))
  try {
    throwReply(await readLine(replies))
  } catch (error) {
    if (error instanceof ChatError) throw error
    throw new ChatError("FILE_FAILED", "the daemon process did not start", {
      cause: error,
      hint: `see ${root.hostLog}`,
    })
  } finally {
    replies.destroy()
    child.unref()
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, "a", 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${path}: cannot be written (${String(code)})`, { cause: error })
  }
}
