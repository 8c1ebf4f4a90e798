/** `daemon` itself: in the background or in this very process. */
import { mkdirSync } from "node:fs"
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import type { DaemonStart } from "../../daemon/options.js"
import { startDaemon, waitForStatus } from "../../daemon/process/control.js"
import { openHostProcess } from "../../daemon/process/host.js"
import type { DaemonStatus } from "../../daemon/status.js"
import { ChatError, isErrorCode } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { instancePathsOf } from "../input/instance-choice.js"
import { shownPath } from "../output/shown-path.js"
import { watchDirectory } from "./directory-watch.js"
import { LineTail } from "./line-tail.js"
import { type DaemonChoice, daemonRequest } from "./request.js"

/** Milliseconds a start waits for the relay, before it says that the daemon goes on trying. */
const connectMs = 5_000

/**
 * Starts a daemon in the background and waits until it is on its relay, or it is clear that it is not.
 * @throws {ChatError} why it could not start, or why the relay will never let it in
 */
export async function runInBackground(
  context: Context,
  choice: DaemonChoice & { readonly isolate: boolean },
  url: string | undefined,
): Promise<number> {
  const start = await daemonRequest(context, choice, url)
  const status = await startInBackground(context, start, choice.isolate)
  printStarted(context, start, status)
  return 0
}

/** {@link runInBackground} without a word. */
export async function startInBackground(
  { config, clock, system }: Context,
  start: DaemonStart,
  isolate: boolean,
): Promise<DaemonStatus | undefined> {
  const root = rootPaths(config.home)
  await startDaemon(root, start, { clock, isolate, nodePath: system.nodePath })
  const status = await waitForStatus(root, start.name as InstanceName, { clock, timeoutMs: connectMs })
  const { reason, state } = status ?? {}
  if (state !== "stopped" || reason === undefined || reason === null) return status
  throw new ChatError(isErrorCode(reason.code) ? reason.code : "UNSUPPORTED", reason.message)
}

/**
 * Runs a daemon in this process until it is interrupted or stops by itself.
 * @returns 0 when it was asked to end, else the status of its reason
 */
export async function runInForeground(
  context: Context,
  choice: DaemonChoice,
  url: string | undefined,
): Promise<number> {
  const { config, clock, system } = context
  const start = await daemonRequest(context, choice, url)
  const interruption = system.interruption()
  const { pid, uid, runtimeDir, random } = system
  const root = rootPaths(config.home)
  const process = await openHostProcess({ root, shared: false, clock, random, pid, uid, runtimeDir })
  const endLog = showLog(context, instancePathsOf(config, start.name as InstanceName))
  try {
    await process.host.start(start)
    interruption.addEventListener("abort", () => void process.host.stopAll())
    const settled = waitForStatus(root, start.name as InstanceName, { clock, timeoutMs: connectMs })
    const first = await Promise.race([settled, process.ended.then(() => undefined)])
    if (first !== undefined) printStarted(context, start, first)
    const reason = await process.ended
    if (reason !== undefined) throw reason
    return 0
  } finally {
    endLog()
    await process.close()
  }
}

/** Says on standard error what the daemon writes to its log from now on. @returns shows the last of it, and ends */
function showLog({ io }: Context, { dir, log }: DaemonPaths): () => void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const tail = new LineTail(log)
  const show = () => {
    for (const line of tail.read()) io.talk(line)
  }
  const unwatch = watchDirectory(dir, show)
  return () => {
    unwatch()
    show()
    tail.close()
  }
}

function printStarted(
  { io, config }: Context,
  { name, server }: DaemonStart,
  status: DaemonStatus | undefined,
): void {
  const { connected = false, agent_id = null, pid = null, reason = null } = status ?? {}
  if (config.json) {
    io.json({ ok: true, name, agent_id, server, connected, pid })
    return
  }
  const paths = instancePathsOf(config, name as InstanceName)
  io.out(`daemon ${name}: ${connected ? `on ${server} as ${agent_id ?? "?"}` : `not on ${server} yet`}`)
  io.out(`inbox:  ${shownPath(config, paths.inbox)}`)
  io.out(`outbox: ${shownPath(config, paths.outbox)}`)
  if (!connected) io.talk(`${reason?.message ?? "the relay has not answered yet"}; it goes on trying`)
}
