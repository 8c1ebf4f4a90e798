/** `guard status`, `guard explain` and `send --dry-run`. */

import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { type DaemonStatus, type GuardStop, readStatus } from "../../daemon/status.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { daemonLayer, type GuardUsage } from "../../protocol/guard-facts.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context, Io } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import { reportFailure } from "../exit-status.js"
import { describeStop } from "../output/status-report.js"
import { formatTable } from "../output/table.js"
import { type RequestOptions, relayRequest, usesOwnSession } from "../relay/relay-request.js"
import { guardRules, numbersOf } from "./guard-rules.js"
import { type HeldLine, readHeldLines } from "./held-lines.js"

const shownText = 60
/** Held lines shown, the newest ones: a loop may have left thousands. */
const shownLines = 10
const guardedExit = 7

/**
 * Prints what is used of each limit, what is stopped, and the newest held lines.
 * @returns 0
 * @throws {ChatError} the error of the relay, if there is nothing else to print
 */
export async function reportGuards(context: Context, choice: RequestOptions): Promise<number> {
  const { io, config, clock } = context
  const paths = usesOwnSession(choice) ? undefined : chooseInstance(context, choice.options.name)
  const isRunning = paths !== undefined && readHolder(paths.record, clock.now()) !== undefined
  const status = isRunning ? readStatus(paths.status) : undefined
  const { list, problem } = await listGuards(context, choice)
  const { stops, usages } = mergeStatus(status, list, problem)
  const lines = paths === undefined ? [] : readHeldLines(paths)
  if (problem !== undefined && usages.length + stops.length + lines.length === 0) throw problem
  const shown = lines.slice(-shownLines)
  if (config.json) {
    const held = { kept: shown, kept_lines: lines.length }
    io.json({ ok: true, list: usages, stopped: stops, ...held, ...(problem && { relay: problem.message }) })
    return 0
  }
  printReport(io, clock.now(), { usages, stops, shown, total: lines.length, problem })
  return 0
}

/** Prints everything that the relay has stopped, for an operator. @throws {ChatError} OPERATOR_REQUIRED */
export async function reportStops(context: Context, choice: RequestOptions): Promise<number> {
  const { io, config } = context
  const { answer } = await relayRequest(context, choice, { type: "LIST_GUARDS", stopped: true })
  const list = answer["list"] as readonly GuardUsage[]
  if (config.json) {
    io.json({ ok: true, list })
    return 0
  }
  for (const line of formatUsages(list, io.columns)) io.out(line)
  io.note(
    list.length === 0
      ? "nothing is stopped"
      : "lift one: agentchat guard reset 'SCOPE' --by operator --identity FILE",
  )
  return 0
}

/** Combines the answer of the relay with what the status of the daemon shows. */
function mergeStatus(
  status: DaemonStatus | undefined,
  list: readonly GuardUsage[],
  problem: ChatError | undefined,
): Pick<Report, "stops" | "usages"> {
  if (status === undefined) return { stops: [], usages: list }
  const { guards, breaker } = status
  const stops = guards.filter((stop) => problem !== undefined || isInForce(stop, list))
  return { stops, usages: [...list, breaker] }
}

/** Reports whether a stop of status.json is in force: a daemon does not learn of a lift while it is not connected. */
function isInForce({ layer, scope }: GuardStop, list: readonly GuardUsage[]): boolean {
  return (
    layer === daemonLayer || list.some((row) => row.tripped && row.layer === layer && row.scope === scope)
  )
}

interface Report {
  readonly usages: readonly GuardUsage[]
  readonly stops: readonly GuardStop[]
  readonly shown: readonly HeldLine[]
  /** Number of all held lines. */
  readonly total: number
  readonly problem: ChatError | undefined
}

function printReport(io: Io, nowMs: number, { usages, stops, shown, total, problem }: Report): void {
  for (const line of formatUsages(usages, io.columns)) io.out(line)
  for (const stop of stops) io.out(formatForTerminal(describeStop(stop, nowMs)))
  if (total > shown.length) io.out(`held      ${total - shown.length} lines before these`)
  for (const { id, guard, line = "" } of shown) {
    const text = `${line.slice(0, shownText)}${line.length > shownText ? "…" : ""}`
    io.out(formatForTerminal(`held      ${id}: ${guard.layer}: ${text}`))
  }
  if (problem !== undefined) io.note(`the relay's guards are unknown: ${problem.message}`)
  if (shown.length > 0)
    io.note("send them again or drop them: agentchat guard release ID, or --all, with --drop")
}

/** Prints what each guard counts, its numbers, who lifts it and what to do. */
export function explainGuards({ io, config }: Context): number {
  if (config.json) {
    io.json({ ok: true, guards: guardRules })
    return 0
  }
  for (const [name, rule] of Object.entries(guardRules)) {
    io.out(name)
    io.out(`  counts  ${rule.counts}`)
    io.out(`  numbers ${numbersOf(rule)}`)
    io.out(`  lifted  by ${rule.lift}`)
    io.out(`  do      ${rule.act}`)
  }
  return 0
}

/**
 * Prints what a message would do; sends nothing.
 * @returns 0, or 7 if a guard would refuse it
 * @throws {ChatError} what the relay refuses; TIMEOUT; UNREACHABLE
 */
export async function reportForecast(
  context: Context,
  choice: RequestOptions,
  message: ClientFrame<"MSG">,
): Promise<number> {
  const { io, config } = context
  const { id: _id, ts: _ts, sig: _sig, ...draft } = message
  const { via, answer } = await relayRequest(context, choice, { ...draft, type: "FORECAST" })
  const { to, recipients, woken, tokens, guards, refused } = answer as unknown as ServerMessage<"FORECAST">
  if (config.json) {
    io.json({ ok: refused === undefined, sent: false, to, recipients, woken, tokens, guards, refused, via })
    return refused === undefined ? 0 : guardedExit
  }
  const names = woken.length === 0 ? "" : `: ${woken.join(" ")}`
  const readers = to.startsWith("+") ? "one free worker of it" : `${recipients} there`
  io.out(`to      ${formatForTerminal(to)}, ${readers}`)
  io.out(`wakes   ${formatForTerminal(`${woken.length}${names}`)}`)
  io.out(`tokens  about ${tokens}, all readers together`)
  for (const line of formatUsages(guards, io.columns)) io.out(line)
  if (refused === undefined) {
    io.note("nothing was sent")
    return 0
  }
  const { reason, retry_after_ms: retryAfterMs, ...guard } = refused
  const details = omitUndefined({ retryAfterMs, guard })
  return reportFailure(context, new ChatError("GUARDED", `would be refused: ${reason}`, details))
}

/** Formats what is used and left of each limit as a table. */
function formatUsages(list: readonly GuardUsage[], columns: number | undefined): string[] {
  if (list.length === 0) return []
  const rows = list.map(({ layer, scope, used, limit, free_in_ms: freeMs, tripped }) => [
    formatForTerminal(layer),
    formatForTerminal(scope),
    String(used),
    String(Math.max(0, limit - used)),
    freeMs === undefined ? "" : `${Math.ceil(freeMs / 1_000)} s`,
    tripped ? "stopped" : "",
  ])
  return formatTable(["GUARD", "SCOPE", "USED", "LEFT", "MORE IN", ""], rows, columns)
}

async function listGuards(
  context: Context,
  choice: RequestOptions,
): Promise<{ list: readonly GuardUsage[]; problem?: ChatError }> {
  try {
    const { answer } = await relayRequest(context, choice, { type: "LIST_GUARDS" })
    return { list: answer["list"] as readonly GuardUsage[] }
  } catch (error) {
    if (!(error instanceof ChatError) || usesOwnSession(choice)) throw error
    return { list: [], problem: error }
  }
}
