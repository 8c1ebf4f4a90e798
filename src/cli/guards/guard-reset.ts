/** `guard reset`. */
import { randomInt } from "node:crypto"
import { closeSync, openSync, readSync, writeSync } from "node:fs"
import { formatForTerminal } from "../../base/visible-text.js"
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import { resetDaemonGuard } from "../../daemon/process/control.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { type RequestOptions, relayRequest, requireDaemon } from "../relay/relay-request.js"

const answerBytes = 256

/** Lifts what a relay's guards have stopped. @throws {ChatError} OPERATOR_REQUIRED */
export async function resetRelayGuards(
  context: Context,
  choice: RequestOptions,
  scope: string | undefined,
): Promise<number> {
  const { io, config } = context
  await relayRequest(context, choice, { type: "RESET_GUARD", ...omitUndefined({ scope }) })
  if (config.json) io.json({ ok: true, lifted: scope ?? null })
  else io.out(`lifted ${formatForTerminal(scope ?? "everything")}`)
  return 0
}

/**
 * Lets the daemon's own breaker begin anew, when a person at the terminal says so. An agent that has a terminal of
 * its own can say it too: this is a hurdle, and no proof.
 * @throws {ChatError} OPERATOR_REQUIRED without a terminal, or without the word; NOT_FOUND
 */
export async function resetOwnBreaker(
  context: Context,
  name: InstanceName = defaultInstance,
): Promise<number> {
  const { io, config, clock } = context
  askPerson(name, whatIs(await requireDaemon(context, name)))
  await resetDaemonGuard(rootPaths(config.home), name, clock)
  if (config.json) io.json({ ok: true, reset: name })
  else io.out(`daemon ${name} counts anew`)
  return 0
}

/** What a person is to decide about. */
function whatIs({ status }: DaemonPaths): string {
  const { used = 0, limit = 0, tripped = false } = readStatus(status)?.breaker ?? {}
  const count = `did nothing but answer, ${used} times of ${limit}`
  return tripped ? `has stopped its agent, which ${count}` : `lets its agent speak, which ${count}`
}

function askPerson(name: InstanceName, what: string): void {
  const word = String(randomInt(1_000, 10_000))
  let tty: number
  try {
    tty = openSync("/dev/tty", "r+")
  } catch (error) {
    throw new ChatError(
      "OPERATOR_REQUIRED",
      "--reset: a person at a terminal has to say so, and there is none",
      {
        hint: `your user runs it in a terminal: agentchat guard --reset --name ${name}`,
        cause: error,
      },
    )
  }
  try {
    writeSync(tty, `Daemon ${name} ${what}.\nTo let it begin to count anew, type ${word}: `)
    const bytes = Buffer.alloc(answerBytes)
    if (bytes.toString("utf8", 0, readSync(tty, bytes)).trim() === word) return
  } finally {
    closeSync(tty)
  }
  throw new ChatError("OPERATOR_REQUIRED", "--reset: that was another word; nothing was changed")
}
