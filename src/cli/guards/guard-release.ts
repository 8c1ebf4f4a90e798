/** `guard release`: what a guard kept is sent again, or dropped. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { instancePathsOf } from "../daemon/daemon-choice.js"
import { frameOf, type KeptLine, noteReleased, readKeptLines } from "../daemon/kept-lines.js"
import { answerMs, requireDaemon } from "../relay/relay-request.js"

/** Which lines, and what is to become of them. */
export interface ReleaseChoice {
  readonly name: InstanceName | undefined
  /** Absent: all of them. */
  readonly id: string | undefined
  readonly isDrop: boolean
  readonly timeoutMs: number | undefined
}

/**
 * Releases one line, or all in their order. One that is refused again ends it; it is kept anew, the rest as before.
 * @throws {ChatError} NOT_FOUND; GUARDED when it is refused again; TIMEOUT when it waits in the outbox
 */
export async function releaseLines(context: Context, choice: ReleaseChoice): Promise<number> {
  const { io, config, clock } = context
  const { name, id, isDrop } = choice
  const paths = isDrop ? instancePathsOf(config, name) : await requireDaemon(context, name)
  const lines = readKeptLines(paths).filter((line) => id === undefined || line.id === id)
  if (id !== undefined && lines.length === 0) {
    throw new ChatError("NOT_FOUND", `ID: no line ${JSON.stringify(id.slice(0, 80))} is kept`, {
      hint: "see: agentchat guard",
    })
  }
  const state = isDrop ? "dropped" : "released"
  const done: KeptLine[] = []
  for (const line of lines) {
    if (isDrop) noteReleased(paths, line, state, clock.now())
    else await sendAgain()
    done.push(line)
    if (!config.json) io.out(`${state} ${formatForTerminal(line.id)}`)

    async function sendAgain(): Promise<void> {
      const { requestThroughDaemon } = await import("../daemon/daemon-request.js")
      const frame = { type: "MSG", ...frameOf(paths, line) } as ClientFrame
      const asked = requestThroughDaemon(paths, frame, {
        clock,
        timeoutMs: choice.timeoutMs ?? answerMs,
        id: line.id,
      })
      // Refused again or not: from now on what became of it stands in a line of its own.
      noteReleased(paths, line, state, clock.now())
      await asked
    }
  }
  if (config.json) io.json({ ok: true, [state]: done.map((line) => line.id) })
  else if (done.length === 0) io.err("no line is kept")
  return 0
}
