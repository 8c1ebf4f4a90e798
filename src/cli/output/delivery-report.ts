/** Tells what became of a message that was waited for. */
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address } from "../../protocol/names.js"
import type { Context } from "../context.js"
import type { Delivery, Reply } from "../daemon/delivery.js"
import type { ErrandResult } from "../daemon/delivery-wait.js"
import { failureDocument, reportFailure } from "./failure.js"

/** What was asked for. */
export interface Wish {
  readonly to: Address
  readonly timeoutMs: number
}

/**
 * Prints the rung that was reached, or the text of the answer; else why not.
 * @returns 0, or 4 when the wanted rung was not reached
 */
export function reportDelivery(
  { io, config }: Context,
  { to, timeoutMs }: Wish,
  { via, delivery }: ErrandResult,
): number {
  const { state, msgId: msg_id, rungs, reply } = delivery
  const facts = { state, to, msg_id, rungs, reply, via }
  if (!delivery.isReached) {
    const error = unreached(delivery, to, timeoutMs, via)
    if (config.json) io.json({ ...facts, ...failureDocument(error) })
    return reportFailure(io, error, false)
  }
  if (config.json) io.json({ ok: true, ...facts })
  else if (reply === undefined) io.out(`${state} ${formatForTerminal(String(msg_id))}`)
  else for (const line of linesOf(reply)) io.out(line)
  return 0
}

/** The text as it was written, line by line, and nothing in it that a terminal obeys. */
function linesOf({ content, parts }: Reply): string[] {
  const lines = content.split(/\r?\n/).map((line) => formatForTerminal(line.replaceAll("\t", "  ")))
  if (!Array.isArray(parts)) return lines
  return [...lines, ...parts.map((part) => formatForTerminal(JSON.stringify(part)))]
}

function unreached(delivery: Delivery, to: Address, timeoutMs: number, via: ErrandResult["via"]): ChatError {
  const { state, wanted } = delivery
  if (state === "failed") {
    const { reason } = delivery.rungs.at(-1) ?? {}
    const why = reason === undefined ? "" : `: ${reason.slice(0, 200)}`
    return new ChatError("TIMEOUT", `not ${wanted}: ${to} gave it up after too many tries${why}`)
  }
  const message = `not ${wanted} within ${timeoutMs / 1000} s: ${whereItIs(delivery, to)}`
  const hint =
    via === "daemon" || wanted !== "answered"
      ? "do not send it again: it is not lost; later rungs stand in acks.jsonl, answers in the inbox"
      : "this session is over; to hear a late answer, ask through a daemon, or with --identity"
  return new ChatError("TIMEOUT", message, { hint })
}

function whereItIs({ rungs, state }: Delivery, to: Address): string {
  const { by } = rungs.at(-1) ?? {}
  if (to.startsWith("+") && state === "accepted") return `it waits; no worker of ${to} is free`
  return by === undefined ? `it is ${state}` : `it is ${state} by ${by}`
}
