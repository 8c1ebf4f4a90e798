/** Says why a daemon does not run, has no connection, or does not send. */
import { openHome } from "../../daemon/files/home.js"
import type { OutboxWait } from "../../daemon/outbox/limits.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { type DaemonStatus, type OutboxStatus, readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { startCommand } from "./daemon-choice.js"

/** Returns the status a daemon wrote last, corrected if the process is gone. */
export function daemonStatus(
  { config, clock }: Pick<Context, "config" | "clock">,
  name: InstanceName,
): { status: DaemonStatus | undefined; running: boolean } {
  const paths = openHome(config.home, config.uid).instance(name)
  const running = readHolder(paths.record, clock.now()) !== undefined
  const status = readStatus(paths.status)
  if (status === undefined || running) return { status, running }
  const crashed =
    status.state === "stopped" ? status.reason : { code: "NOT_FOUND", message: "the process is gone" }
  return { status: { ...status, state: "stopped", connected: false, reason: crashed }, running }
}

/** Notes why no new message can come, unless the daemon is connected. */
export function noteOffline(context: Context, name: InstanceName): void {
  const error = offlineError(context, name)
  if (error !== undefined) context.io.note(`${error.message}; newer messages may be missing`)
}

/** Returns why no new message can come; undefined while the daemon is connected. */
export function offlineError(
  context: Pick<Context, "config" | "clock">,
  name: InstanceName,
): ChatError | undefined {
  const { status, running } = daemonStatus(context, name)
  if (running && status?.connected === true) return undefined
  return running ? notConnectedError(name, status) : notRunningError(name, status)
}

/** Returns the error of a daemon that runs without a connection, with the reason from its status. */
export function notConnectedError(name: InstanceName, status: DaemonStatus | undefined): ChatError {
  const reason = status?.reason?.message ?? "the relay has not answered yet"
  return new ChatError("UNREACHABLE", `daemon ${name} is not connected: ${reason}`)
}

/** Returns the error of a daemon that does not run, with the reason why it stopped and the command that starts it. */
export function notRunningError(name: InstanceName, status: DaemonStatus | undefined): ChatError {
  const reason = status?.reason === undefined || status.reason === null ? "" : `: ${status.reason.message}`
  return new ChatError("NOT_FOUND", `daemon ${name} is not running${reason}`, {
    hint: `start it: ${startCommand({ name })}, or with a relay of its own: agentchat up`,
  })
}

/** Returns why lines of the outbox wait. Older daemons do not write it. */
export function waitsOf({ outbox }: DaemonStatus): readonly OutboxWait[] {
  return (outbox as Partial<OutboxStatus>).waits ?? []
}

/** Describes in one line why lines of the outbox wait. */
export function describeWait({ reason, message, since, until }: OutboxWait, nowMs: number): string {
  const begun = since === undefined ? "" : ` for ${secondsBetween(since, nowMs)} s`
  const hint = reason === "unfinished line" ? "; end it with a newline" : ""
  const next = until === undefined ? "" : `; next in ${secondsBetween(nowMs, until)} s`
  return `${reason}: ${message}${begun}${next}${hint}`
}

/** At least 1: a wait that has just begun, or is about to end, is not shown as none. */
function secondsBetween(startMs: number, endMs: number): number {
  return Math.max(1, Math.ceil((endMs - startMs) / 1_000))
}
