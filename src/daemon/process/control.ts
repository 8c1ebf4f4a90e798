import { closeSync } from "node:fs"
import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { type Clock, delay } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { ensureHome } from "../files/home.js"
import { instanceNames, type RootPaths } from "../files/paths.js"
import { type ProcessRecord, processState } from "../files/process-record.js"
import type { DaemonStart } from "../options.js"
import { type DaemonStatus, readStatus } from "../status.js"
import type { ControlRequest } from "./control-socket.js"
import { type Holder, readHolder } from "./pid-file.js"

/** Milliseconds a host process may take to start or to reply. */
const replyMs = 10_000

/** Milliseconds to wait for a host to open its control socket again. */
const reopenMs = 4_000

/** Part of the system needed to end a process. */
export interface Signals {
  readonly clock: Clock
  readonly system: { kill(pid: number, signal: NodeJS.Signals): void }
}

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
 * @returns what the user should know, such as where the control socket is
 * @throws {ChatError} ALREADY_RUNNING, or the error of the start
 */
export async function startDaemon(
  root: RootPaths,
  start: DaemonStart,
  options: { clock: Clock; isolate: boolean; nodePath: string },
): Promise<readonly string[]> {
  ensureHome(root)
  refuseRunning(root, start.name as InstanceName, options.clock.now())
  if (!options.isolate && (await joinHost(root, start, options.clock.now()))) return []
  try {
    return await spawnHost(root, start, { shared: !options.isolate, nodePath: options.nodePath })
  } catch (error) {
    // Another process became the host a moment earlier: two daemons were started at once.
    const lost = error instanceof ChatError && error.code === "ALREADY_RUNNING" && !options.isolate
    if (!lost || !(await joinHost(root, start, options.clock.now()))) throw error
    return []
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

/**
 * Stops one daemon; others in its process continue.
 * @throws {ChatError} NOT_FOUND when it is not running; UNREACHABLE or TIMEOUT if its process does not answer
 */
export async function stopDaemon(root: RootPaths, name: InstanceName, signals: Signals): Promise<void> {
  const holder = holderOf(root, name, signals.clock)
  const request = { op: "stop", name } as const
  if (await askedAgain(holder, request, signals)) return
  const { pid } = holder.process
  const others = listDaemons(root, signals.clock.now()).filter(
    (other) => other.pid === pid && other.name !== name,
  )
  if (others.length > 0) {
    const names = others.map((other) => other.name).join(", ")
    throw new ChatError("UNREACHABLE", `process ${pid} does not answer; it also runs ${names}`, {
      hint: `end all of them: kill ${pid}`,
    })
  }
  await endProcess(holder.process, signals)
}

/** Resets a daemon's own breaker. @throws {ChatError} NOT_FOUND when it is not running; UNREACHABLE */
export async function resetDaemonGuard(root: RootPaths, name: InstanceName, signals: Signals): Promise<void> {
  await askDaemon(root, { op: "reset-guard", name }, signals)
}

/**
 * Lets a daemon ring its agent's session; its status then says what came of it.
 * @throws {ChatError} why the session cannot be rung; NOT_FOUND when the daemon is not running; UNREACHABLE
 */
export async function testDaemonWake(root: RootPaths, name: InstanceName, signals: Signals): Promise<void> {
  await askDaemon(root, { op: "test-wake", name }, signals)
}

/**
 * Stops a daemon and starts it as it was started, so that it reads its identity again.
 * @throws {ChatError} NOT_FOUND when it is not running; UNREACHABLE; the error of the start, and it is stopped then
 */
export async function restartDaemon(root: RootPaths, name: InstanceName, signals: Signals): Promise<void> {
  await askDaemon(root, { op: "restart", name }, signals)
}

async function askDaemon(
  root: RootPaths,
  request: Extract<ControlRequest, { readonly name: string }>,
  signals: Signals,
): Promise<void> {
  const holder = holderOf(root, request.name as InstanceName, signals.clock)
  if (await askedAgain(holder, request, signals)) return
  throw new ChatError("UNREACHABLE", `process ${holder.process.pid} does not answer on its socket`)
}

/**
 * Sends a request to a host. Its socket may have been removed, as by a cleaner of temporary files; a hangup makes the
 * host open it again.
 * @returns false if there is no answer
 * @throws {ChatError} the host's error; UNREACHABLE if the process cannot be signaled from here
 */
async function askedAgain(
  { socket, process }: Holder,
  request: ControlRequest,
  { clock, system }: Signals,
): Promise<boolean> {
  const { askControl } = await import("./control-socket.js")
  const deadline = clock.monotonic() + reopenMs
  for (let tries = 0; ; tries++) {
    try {
      await askControl(socket, request, replyMs)
      return true
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "UNREACHABLE") throw error
      if (processState(process) !== "alive") throw error
    }
    if (tries === 0) system.kill(process.pid, "SIGHUP")
    if (clock.monotonic() >= deadline) return false
    await delay(clock, 50)
  }
}

/** Ends a process and waits for its end. @throws {ChatError} TIMEOUT */
export async function endProcess(process: ProcessRecord, { clock, system }: Signals): Promise<void> {
  if (processState(process) !== "alive") return
  system.kill(process.pid, "SIGTERM")
  const deadline = clock.monotonic() + replyMs
  while (processState(process) === "alive") {
    if (clock.monotonic() >= deadline) {
      throw new ChatError("TIMEOUT", `process ${process.pid} did not end within ${replyMs / 1000} s`, {
        hint: `kill -9 ${process.pid}`,
      })
    }
    await delay(clock, 20)
  }
}

/** Stops every daemon of the directory. @returns their names */
export async function stopAllDaemons(root: RootPaths, signals: Signals): Promise<string[]> {
  const running = listDaemons(root, signals.clock.now()).filter((entry) => entry.running)
  for (const { name } of running) await stopDaemon(root, name as InstanceName, signals)
  return running.map(({ name }) => name)
}

/** Returns every daemon that has a directory here, running or not, sorted by name. */
export function listDaemons(root: RootPaths, nowMs: number): DaemonListEntry[] {
  return instanceNames(root).map((name) => {
    const paths = root.instance(name)
    const holder = readHolder(paths.record, nowMs)
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

function holderOf(root: RootPaths, name: InstanceName, clock: Clock): Holder {
  const holder = readHolder(root.instance(name).record, clock.now())
  if (holder !== undefined) return holder
  throw new ChatError("NOT_FOUND", `daemon ${name} is not running`, { hint: "see: agentchat daemon --list" })
}

/** @throws {ChatError} ALREADY_RUNNING */
export function refuseRunning(root: RootPaths, name: InstanceName, nowMs: number): void {
  const holder = readHolder(root.instance(name).record, nowMs)
  if (holder === undefined || holder.isMoved) return
  const message = `daemon ${name} is already running in process ${holder.process.pid}`
  throw new ChatError("ALREADY_RUNNING", message, { hint: `agentchat daemon --stop --name ${name}` })
}

/** Starts a daemon in the running host. @returns false if there is none, or if it is ending */
async function joinHost(root: RootPaths, start: DaemonStart, nowMs: number): Promise<boolean> {
  const host = readHolder(root.host, nowMs)
  if (host === undefined || host.isMoved) return false
  const { askControl } = await import("./control-socket.js")
  try {
    await askControl(host.socket, { op: "start", start }, replyMs)
    return true
  } catch (error) {
    if (error instanceof ChatError && error.code === "UNREACHABLE") return false
    throw error
  }
}

/** Starts a host process with its first daemon. @returns the notices in its reply */
async function spawnHost(
  root: RootPaths,
  start: DaemonStart,
  { shared, nodePath }: { shared: boolean; nodePath: string },
): Promise<readonly string[]> {
  const [{ openLog, spawnInBackground }, { checkReply, readLine }] = await Promise.all([
    import("./background-process.js"),
    import("./control-socket.js"),
  ])
  const log = openLog(root.hostLog)
  const main = fileURLToPath(new URL("../../harness/host-main.js", import.meta.url))
  const child = spawnInBackground(nodePath, [main], ["pipe", log, log, "pipe"])
  closeSync(log)
  const replies = child.stdio[3] as Socket
  child.stdin?.end(JSON.stringify({ root: root.root, shared, start }))
  try {
    return checkReply(await readLine(replies))
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
