import { formatForTerminal } from "../../base/visible-text.js"
import { rootPaths } from "../../daemon/files/paths.js"
import { daemonStatus } from "../../daemon/process/control.js"
import type { StoredPresence } from "../../daemon/session/daemon-memory.js"
import type { DaemonStatus, GuardStop, Problem } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { otherDaemonsHint } from "../daemon/other-daemons.js"
import { defaultInstance } from "../input/instance-choice.js"
import { failureDocument, liftedBy, reportFailure } from "./failure.js"
import { formatTime } from "./message-text.js"
import { shownPath } from "./shown-path.js"

/**
 * Prints how a daemon is.
 * @returns 0 when it runs, connected or not; 3 when it does not
 */
export function reportStatus(context: Context, name: InstanceName = defaultInstance): number {
  const { io, config, clock } = context
  const { status, running } = daemonStatus(rootPaths(config.home), name, clock.now())
  if (!running) {
    const error = notRunning(context, name, status)
    if (!config.json) return reportFailure(io, error, false)
    io.json({ ...status, name, connected: false, running, ...failureDocument(error) })
    return error.exit
  }
  if (config.json) {
    // A daemon that was started this very moment has not told anything yet.
    const unknown = { name, agent_id: null, server: null, state: "connecting", connected: false, pid: null }
    io.json({ ok: true, running, ...unknown, ...status })
  } else for (const line of describe(context, name, status)) io.out(formatForTerminal(line))
  return 0
}

function notRunning(context: Context, name: InstanceName, status: DaemonStatus | undefined): ChatError {
  const reason = status?.reason === undefined || status.reason === null ? "" : `: ${status.reason.message}`
  const flag = name === defaultInstance ? "" : ` --name ${name}`
  const others = name === defaultInstance ? otherDaemonsHint(context, "running") : undefined
  return new ChatError("NOT_FOUND", `daemon ${name} does not run${reason}`, {
    hint:
      others ?? `start it: agentchat daemon --background${flag}, or with a relay of its own: agentchat up`,
  })
}

function describe({ config }: Context, name: InstanceName, status: DaemonStatus | undefined): string[] {
  if (status === undefined) return [`daemon    ${name}, starting`]
  const { nick, agent_id, server, state, since, reason, pid, channels, inbox, outbox, problems } = status
  // Not told by a daemon that an earlier version of this program has started.
  const told: Partial<Pick<DaemonStatus, "patterns" | "presence" | "tasks" | "guards">> = status
  const { patterns = [], presence = null, tasks = [], guards = [] } = told
  const places = [...channels, ...patterns]
  const paths = rootPaths(config.home).instance(name)
  const why = reason === null ? "" : `: ${reason.message}`
  return [
    `daemon    ${name}, process ${pid}`,
    `agent     ${agent_id ?? "no id yet"}, called ${nick}`,
    `relay     ${server}, ${state} since ${formatTime(since)}${why}`,
    `channels  ${places.length === 0 ? "none" : places.join(" ")}`,
    ...(presence === null ? [] : [`presence  ${describePresence(presence)}`]),
    ...(tasks.length === 0 ? [] : [`tasks     ${tasks.join(" ")}`]),
    `inbox     ${shownPath(config, paths.inbox)}, newest line ${inbox.seq}`,
    `outbox    ${shownPath(config, paths.outbox)}, ${outbox.pending} waiting`,
    ...problems.map(describeProblem),
    ...guards.map(describeStop),
  ]
}

function describePresence({ status, activity, role }: StoredPresence): string {
  const doing = activity === undefined ? status : `${status}: ${activity}`
  return role === undefined ? doing : `${doing} (${role})`
}

/** Something that a guard has stopped, in a line. */
export function describeStop({ layer, scope, reason, lifted_by, until }: GuardStop): string {
  const end = until === undefined ? liftedBy[lifted_by] : `until ${formatTime(until)}`
  return `guard     ${layer}: ${scope} is stopped: ${reason}; ${end}`
}

function describeProblem({ where, code, message, hint }: Problem): string {
  return `problem   ${where}: ${message} (${code})${hint === undefined ? "" : `; ${hint}`}`
}
