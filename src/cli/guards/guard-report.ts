/** `guard --status` and `--explain`. */
import { formatForTerminal } from "../../base/visible-text.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { type GuardStop, readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardUsage } from "../../protocol/guard-facts.js"
import type { Context, Io } from "../context.js"
import { instancePathsOf, otherDaemonsHint } from "../daemon/daemon-choice.js"
import { type KeptLine, readKeptLines } from "../daemon/kept-lines.js"
import { describeStop } from "../output/status-report.js"
import { type RequestOptions, relayRequest, usesOwnSession } from "../relay/relay-request.js"
import { guardLayers, numbersOf } from "./guard-rules.js"
import { formatUsages } from "./guard-table.js"

const shownText = 60
/** Lines that are shown, the newest: a loop may have left thousands. */
const shownLines = 10

/**
 * Prints what is used and left of each guard, what they stopped, and the newest of the lines they kept.
 * @returns 0
 * @throws {ChatError} why the relay cannot be asked, when nothing else is known either
 */
export async function reportGuards(context: Context, choice: RequestOptions): Promise<number> {
  const { io, config, clock } = context
  const paths = usesOwnSession(choice) ? undefined : instancePathsOf(config, choice.options.name)
  const isRunning = paths !== undefined && readHolder(paths.pid, clock.now()) !== undefined
  const status = isRunning ? readStatus(paths.status) : undefined
  const { list, problem } = await listGuards(context, choice)
  const { guards: stops = [], breaker } = { ...status }
  const usages = breaker === undefined ? list : [...list, breaker]
  const lines = paths === undefined ? [] : readKeptLines(paths)
  if (problem !== undefined && usages.length + stops.length + lines.length === 0) throw problem
  const kept = lines.slice(-shownLines)
  const counted = { kept, kept_lines: lines.length }
  if (config.json) {
    io.json({
      ok: true,
      list: usages,
      stopped: stops,
      ...counted,
      ...(problem && { relay: problem.message }),
    })
    return 0
  }
  print(io, { usages, stops, kept, keptLines: lines.length, problem })
  if (!isRunning) await sayWhoElse(context, choice)
  return 0
}

interface Report {
  readonly usages: readonly GuardUsage[]
  readonly stops: readonly GuardStop[]
  readonly kept: readonly KeptLine[]
  /** How many there are, also those that are not shown. */
  readonly keptLines: number
  readonly problem: ChatError | undefined
}

function print(io: Io, { usages, stops, kept, keptLines, problem }: Report): void {
  for (const line of formatUsages(usages, io.columns)) io.out(line)
  for (const stop of stops) io.out(formatForTerminal(describeStop(stop)))
  if (keptLines > kept.length) io.out(`kept      ${keptLines - kept.length} lines before these`)
  for (const { id, guard, line = "" } of kept) {
    io.out(
      formatForTerminal(
        `kept      ${id}: ${guard.layer}: ${line.slice(0, shownText)}${line.length > shownText ? "…" : ""}`,
      ),
    )
  }
  if (problem !== undefined) io.err(`the relay's guards are not known: ${problem.message}`)
  if (kept.length > 0)
    io.err("send them again or drop them: agentchat guard release ID, or --all, with --drop")
}

/** Prints what each guard counts, its number, who lifts it and what to do. */
export function explainGuards({ io, config }: Context): number {
  if (config.json) {
    io.json({ ok: true, guards: guardLayers })
    return 0
  }
  for (const [name, layer] of Object.entries(guardLayers)) {
    io.out(name)
    io.out(`  counts  ${layer.counts}`)
    if (layer.numbers.length > 0) io.out(`  numbers ${numbersOf(layer)}`)
    io.out(`  lifted  by ${layer.lift}`)
    io.out(`  do      ${layer.act}`)
  }
  return 0
}

/** Who named no daemon, and has none called default, sees what is counted of a session that was just opened. */
async function sayWhoElse(context: Context, choice: RequestOptions): Promise<void> {
  if (choice.options.name !== undefined || usesOwnSession(choice)) return
  const others = await otherDaemonsHint(context, "running")
  if (others !== undefined) context.io.err(others)
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
