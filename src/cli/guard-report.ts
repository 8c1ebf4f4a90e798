/** `guard --status` and `--explain`. */
import { formatForTerminal } from "../base/visible-text.js"
import { readHolder } from "../daemon/instance-claim.js"
import { type GuardStop, readStatus } from "../daemon/status-file.js"
import { ChatError } from "../protocol/errors.js"
import type { GuardUsage } from "../protocol/guard-facts.js"
import type { Context, Io } from "./context.js"
import { guardLayers, numbersOf } from "./guard-layers.js"
import { formatUsages } from "./guard-table.js"
import { instancePathsOf } from "./instance-choice.js"
import { type KeptLine, readKeptLines } from "./kept-lines.js"
import { hasOwnVoice, type SpeakChoice, speak } from "./speak.js"
import { describeStop } from "./status-report.js"

const shownText = 60

/** Prints what is used and left of each guard, what they stopped, and the lines they kept. @returns 0 */
export async function reportGuards(context: Context, choice: SpeakChoice): Promise<number> {
  const { io, config, clock } = context
  const paths = hasOwnVoice(choice) ? undefined : instancePathsOf(config, choice.options.name)
  const isRunning = paths !== undefined && readHolder(paths.pid, clock.now()) !== undefined
  const status = isRunning ? readStatus(paths.status) : undefined
  const { list, problem } = await listGuards(context, choice)
  const { guards: stops = [], breaker } = { ...status }
  const usages = breaker === undefined ? list : [...list, breaker]
  const kept = paths === undefined ? [] : readKeptLines(paths)
  if (config.json) {
    io.json({ ok: true, list: usages, stopped: stops, kept, ...(problem && { relay: problem.message }) })
  } else print(io, { usages, stops, kept, problem })
  return 0
}

interface Report {
  readonly usages: readonly GuardUsage[]
  readonly stops: readonly GuardStop[]
  readonly kept: readonly KeptLine[]
  readonly problem: ChatError | undefined
}

function print(io: Io, { usages, stops, kept, problem }: Report): void {
  for (const line of formatUsages(usages)) io.out(line)
  for (const stop of stops) io.out(formatForTerminal(describeStop(stop)))
  for (const { id, reason, line = "" } of kept) {
    io.out(formatForTerminal(`kept      ${id}: ${line.slice(0, shownText)}; ${reason}`))
  }
  if (problem !== undefined) io.talk(`the relay's guards are not known: ${problem.message}`)
  if (kept.length > 0)
    io.talk("send them again or drop them: agentchat guard release ID, or --all, with --drop")
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

async function listGuards(
  context: Context,
  choice: SpeakChoice,
): Promise<{ list: readonly GuardUsage[]; problem?: ChatError }> {
  try {
    const { answer } = await speak(context, choice, { type: "LIST_GUARDS" })
    return { list: answer["list"] as readonly GuardUsage[] }
  } catch (error) {
    if (!(error instanceof ChatError) || hasOwnVoice(choice)) throw error
    return { list: [], problem: error }
  }
}
