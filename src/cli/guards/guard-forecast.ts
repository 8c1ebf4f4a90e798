/** `send --dry-run`. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context } from "../context.js"
import { reportFailure } from "../exit-status.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { type RequestOptions, relayRequest } from "../relay/relay-request.js"
import { formatUsages } from "./guard-table.js"

/**
 * Tells what a message would do; sends nothing.
 * @returns 0 when it would go out, 7 when a guard would stop it
 * @throws {ChatError} what the relay refuses; TIMEOUT; UNREACHABLE
 */
export async function reportForecast(
  context: Context,
  choice: RequestOptions,
  message: ClientFrame<"MSG">,
): Promise<number> {
  const { io, config } = context
  const { id: _id, ts: _ts, sig: _sig, ...said } = message
  const { via, answer } = await relayRequest(context, choice, { ...said, type: "FORECAST" })
  const { to, recipients, woken, tokens, guards, refused } = answer as unknown as ServerMessage<"FORECAST">
  if (config.json) {
    io.json({ ok: refused === undefined, sent: false, to, recipients, woken, tokens, guards, refused, via })
    return refused === undefined ? 0 : 7
  }
  const names = woken.length === 0 ? "" : `: ${woken.join(" ")}`
  const readers = to.startsWith("+") ? "one free worker of it" : `${recipients} there`
  io.out(`to      ${formatForTerminal(to)}, ${readers}`)
  io.out(`wakes   ${formatForTerminal(`${woken.length}${names}`)}`)
  io.out(`tokens  about ${tokens}, all readers together`)
  for (const line of formatUsages(guards, io.columns)) io.out(line)
  if (refused === undefined) {
    io.err("nothing was sent")
    return 0
  }
  const { reason, retry_after_ms: retryAfterMs, ...guard } = refused
  return reportFailure(
    io,
    new ChatError("GUARDED", `would be refused: ${reason}`, omitUndefined({ retryAfterMs, guard })),
    false,
  )
}
