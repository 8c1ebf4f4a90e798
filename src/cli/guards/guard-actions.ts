/** `guard release` and `guard reset`. */
import { randomInt } from "node:crypto"
import { closeSync, openSync, readSync, writeSync } from "node:fs"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { openHome } from "../../daemon/files/home.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { resetDaemonGuard } from "../../daemon/process/control.js"
import { readStatus } from "../../daemon/status.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import { answerMs, type RequestOptions, relayRequest, requireDaemon } from "../relay/relay-request.js"
import { frameOf, type HeldLine, noteReleased, readHeldLines } from "./held-lines.js"

const answerBytes = 256
const shownCharacters = 80

/** Which held lines to release, and how. */
export interface ReleaseChoice {
  readonly name: InstanceName | undefined
  /** Absent: all of them. */
  readonly id: string | undefined
  /** Discards the lines instead of sending them. */
  readonly isDrop: boolean
  readonly timeoutMs: number | undefined
}

/**
 * Sends held lines again, or discards them, in their order. Ends at the first line that is refused again; that line and
 * the rest stay held.
 * @throws {ChatError} NOT_FOUND; GUARDED when a line is refused again; TIMEOUT while it waits in the outbox
 */
export async function releaseLines(context: Context, choice: ReleaseChoice): Promise<number> {
  const { io, config } = context
  const { name, id, isDrop } = choice
  const paths = isDrop ? chooseInstance(context, name) : requireDaemon(context, name)
  const lines = readHeldLines(paths).filter((line) => id === undefined || line.id === id)
  if (id !== undefined && lines.length === 0) {
    throw new ChatError("NOT_FOUND", `ID: no held line ${JSON.stringify(id.slice(0, shownCharacters))}`, {
      hint: "list the held lines: agentchat guard",
    })
  }
  const state = isDrop ? "dropped" : "released"
  for (const line of lines) {
    if (isDrop) noteReleased(paths, line, state, context.clock.now())
    else await sendAgain(context, paths, line, choice.timeoutMs ?? answerMs)
    if (!config.json) io.out(`${state} ${formatForTerminal(line.id)}`)
  }
  if (config.json) io.json({ ok: true, [state]: lines.map((line) => line.id) })
  else if (lines.length === 0) io.note("no line is held")
  return 0
}

async function sendAgain(
  { clock }: Context,
  paths: DaemonPaths,
  line: HeldLine,
  timeoutMs: number,
): Promise<void> {
  const { requestThroughDaemon } = await import("../daemon/daemon-request.js")
  const frame = { type: "MSG", ...frameOf(paths, line) } as ClientFrame
  const answer = requestThroughDaemon(paths, frame, { clock, timeoutMs, id: line.id })
  // If the line is refused again, rejected.jsonl gets another line about it.
  noteReleased(paths, line, "released", clock.now())
  await answer
}

/** Lifts what the relay's guards have stopped. @throws {ChatError} OPERATOR_REQUIRED */
export async function resetRelayGuards(
  context: Context,
  choice: RequestOptions,
  scope: string | undefined,
): Promise<number> {
  const { io, config } = context
  const { answer } = await relayRequest(context, choice, { type: "RESET_GUARD", ...omitUndefined({ scope }) })
  const { lifted = [] } = answer as unknown as ServerMessage<"ACK">
  if (config.json) io.json({ ok: true, lifted: scope ?? null, stops: lifted })
  else if (lifted.length === 0)
    io.out(
      formatForTerminal(`nothing was stopped${scope === undefined ? "" : ` in ${scope}`}; counts begin anew`),
    )
  else {
    io.out(`lifted ${formatForTerminal(scope ?? "everything")}`)
    for (const stop of lifted) if (stop !== scope) io.out(formatForTerminal(`  ${stop}`))
  }
  return 0
}

/**
 * Resets the circuit breaker of a daemon after a person at the terminal has confirmed it. This makes it harder for an
 * agent to reset it, not impossible: it could open a terminal.
 * @throws {ChatError} OPERATOR_REQUIRED without a terminal; CANCELLED if the number typed is wrong; NOT_FOUND
 */
export async function resetOwnBreaker(context: Context, wanted: InstanceName | undefined): Promise<number> {
  const { io, config } = context
  const paths = requireDaemon(context, wanted)
  const { name } = paths
  confirmAtTerminal(name, describeBreaker(paths))
  await resetDaemonGuard(openHome(config.home, config.uid), name, context)
  if (config.json) io.json({ ok: true, reset: name })
  else io.out(`circuit breaker of daemon ${name} reset`)
  return 0
}

function describeBreaker({ status }: DaemonPaths): string {
  const { used = 0, limit = 0, tripped = false } = readStatus(status)?.breaker ?? {}
  const count = `only answered ${used} times (limit ${limit})`
  return tripped ? `has stopped its agent, which ${count}` : `lets its agent speak, which ${count}`
}

function confirmAtTerminal(name: InstanceName, state: string): void {
  const number = String(randomInt(1_000, 10_000))
  let tty: number
  try {
    tty = openSync("/dev/tty", "r+")
  } catch (error) {
    throw new ChatError("OPERATOR_REQUIRED", "--reset: needs a person at a terminal", {
      hint: `your user runs it in a terminal: agentchat guard --reset --name ${name}`,
      cause: error,
    })
  }
  try {
    writeSync(tty, `Daemon ${name} ${state}.\nTo reset its circuit breaker, type ${number}: `)
    const bytes = Buffer.alloc(answerBytes)
    if (bytes.toString("utf8", 0, readSync(tty, bytes)).trim() === number) return
  } finally {
    closeSync(tty)
  }
  throw new ChatError("CANCELLED", "--reset: wrong number; nothing was changed")
}
