import { completeHint } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { openHome } from "../../daemon/files/home.js"
import type { StoredPresence } from "../../daemon/session/daemon-memory.js"
import type { DaemonStatus, GuardStop, OutboxStatus, Problem } from "../../daemon/status.js"
import type { InstanceName } from "../../protocol/names.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import {
  daemonStatus,
  describeWait,
  notConnectedError,
  notRunningError,
  waitsOf,
} from "../daemon/daemon-state.js"
import { liftedBy, reportFailure, reportSuccess } from "../exit-status.js"
import { formatTime } from "./time.js"
import { describeWake } from "./wake-text.js"

/**
 * Prints the status of a daemon.
 * @returns exit status 0 if it is connected, 8 if it runs and is not, 3 if it does not run
 */
export function reportStatus(context: Context, wanted: InstanceName | undefined): number {
  const { config } = context
  const { name } = chooseInstance(context, wanted)
  const { status, running } = daemonStatus(context, name)
  if (!running) {
    const error = notRunningError(name, status)
    return reportFailure(context, error, { ...status, name, home: config.home, connected: false, running })
  }
  // A daemon that has just started has not written its status yet.
  const unknown = {
    name,
    home: config.home,
    agent_id: null,
    server: null,
    state: "connecting",
    connected: false,
    pid: null,
  }
  const lines = describe(context, name, status).map((line) =>
    formatForTerminal(completeHint(line, config.hintOptions)),
  )
  const document = { running, ...unknown, ...status }
  if (document.connected) return reportSuccess(context, document, lines)
  if (!config.json) for (const line of lines) context.io.out(line)
  return reportFailure(context, notConnectedError(name, status), document)
}

function describe(
  { config, clock }: Context,
  name: InstanceName,
  status: DaemonStatus | undefined,
): string[] {
  if (status === undefined) return [`daemon    ${name}, starting`]
  const { nick, agent_id, server, state, since, reason, pid, channels, inbox, outbox, problems } = status
  // Older versions of the daemon do not write these fields.
  const newer: Partial<Pick<DaemonStatus, "patterns" | "presence" | "tasks" | "guards" | "wake">> = status
  const { patterns = [], presence = null, tasks = [], guards = [], wake } = newer
  const joined = [...channels, ...patterns]
  const paths = openHome(config.home, config.uid).instance(name)
  return [
    `daemon    ${name}, process ${pid}`,
    `agent     ${agent_id ?? "no id yet"}, called ${nick}`,
    `relay     ${server}, ${state} since ${formatTime(since, clock.now())}${reason === null ? "" : `: ${reason.message}`}`,
    ...describeHint(reason),
    `channels  ${joined.length === 0 ? "none" : joined.join(" ")}`,
    ...(presence === null ? [] : [`presence  ${describePresence(presence)}`]),
    ...(tasks.length === 0 ? [] : [`tasks     ${tasks.join(" ")}`]),
    ...(wake === undefined ? [] : describeWake(wake, clock.now()).map((line) => `wake      ${line}`)),
    `home      ${config.shownHome}`,
    `inbox     ${shownPath(config, paths.inbox)}, newest line ${inbox.seq}`,
    `outbox    ${shownPath(config, paths.outbox)}, ${describeWaiting(outbox)}`,
    ...waitsOf(status).map((wait) => `waits     ${describeWait(wait, clock.now())}`),
    ...problems.map(describeProblem),
    ...guards.map((stop) => describeStop(stop, clock.now())),
  ]
}

function describeHint(reason: DaemonStatus["reason"]): string[] {
  return reason?.hint === undefined ? [] : [`hint      ${reason.hint}`]
}

function describeWaiting({ pending, unread_bytes: unread = 0 }: Partial<OutboxStatus>): string {
  return unread === 0 ? `${pending} waiting` : `${pending} waiting, and ${unread} bytes behind them`
}

function describePresence({ status, activity, role, attention = "open" }: StoredPresence): string {
  const text = activity === undefined ? status : `${status}: ${activity}`
  const notes = [...(role === undefined ? [] : [role]), ...(attention === "open" ? [] : [attention])]
  return notes.length === 0 ? text : `${text} (${notes.join(", ")})`
}

/** Describes a stop of a guard in one line. */
export function describeStop({ layer, scope, reason, lifted_by, until }: GuardStop, nowMs: number): string {
  const end = until === undefined ? liftedBy[lifted_by] : `until ${formatTime(until, nowMs)}`
  return `guard     ${layer}: ${scope} is stopped: ${reason}; ${end}`
}

function describeProblem({ where, code, message, hint }: Problem): string {
  return `problem   ${where}: ${message} (${code})${hint === undefined ? "" : `; ${hint}`}`
}
